// Ollama's own client against a server: node ollama.mjs http://host:port
import assert from 'node:assert/strict';
import { Ollama } from 'ollama';
import { run, weather } from './check.mjs';

const client = new Ollama({ host: process.argv[2] ?? process.env.OLLAMA_HOST });
const model = 'shimmy-demo';
const ask = (content, more = {}) => ({ model, messages: [{ role: 'user', content }], ...more, options: { temperature: 0, num_predict: 200, num_ctx: 1024, ...more.options } });

await run({
  async 'the server and its models are found'() {
    assert.match((await client.version()).version, /^\d+\.\d+\.\d+$/);
    const found = (await client.list()).models.find(one => one.name === `${model}:latest`);
    assert.match(found.digest, /^[0-9a-f]{64}$/);
    assert.ok(found.size > 0 && found.details.parameter_size && found.details.quantization_level);
    assert.ok(!Number.isNaN(Date.parse(found.modified_at)));
    const shown = await client.show({ model });
    assert.equal(shown.model_info['general.architecture'], found.details.family);
    assert.ok(shown.capabilities.includes('completion') && shown.capabilities.includes('tools'), shown.capabilities.join());
    assert.match(shown.modelfile, /^FROM /m);
  },

  async 'a stream gives the text of the whole answer'() {
    const whole = await client.chat(ask('What is Shimmy?'));
    assert.deepEqual([whole.done, whole.done_reason, whole.model], [true, 'stop', model]);
    let text = '';
    let last;
    for await (const part of await client.chat(ask('What is Shimmy?', { stream: true }))) {
      text += part.message.content;
      last = part;
    }
    assert.equal(text, whole.message.content);
    assert.ok(last.done && last.eval_count > 3 && last.prompt_eval_count > 3 && last.total_duration > 0 && last.eval_duration > 0);
    assert.ok(last.total_duration >= last.load_duration);
  },

  async 'tools are called, and their results are told'() {
    const tools = [{ type: 'function', function: weather }];
    for (const stream of [false, true]) {
      let message;
      if (stream) {
        message = { role: 'assistant', content: '', tool_calls: [] };
        for await (const part of await client.chat(ask('What is the weather in Rome?', { tools, stream }))) {
          message.content += part.message.content;
          message.tool_calls.push(...(part.message.tool_calls ?? []));
        }
      } else {
        message = (await client.chat(ask('What is the weather in Rome?', { tools }))).message;
      }
      assert.equal(message.tool_calls.length, 1);
      assert.deepEqual([message.tool_calls[0].function.name, message.tool_calls[0].function.arguments], ['get_weather', { city: 'Rome' }]);
      const told = await client.chat({ ...ask('', { tools }), messages: [{ role: 'user', content: 'What is the weather in Rome?' }, message,
        { role: 'tool', tool_name: 'get_weather', content: '{"temperature": 25, "weather": "sunny"}' }] });
      assert.match(told.message.content, /sunny/);
    }
  },

  async 'an answer follows a schema'() {
    const format = { type: 'object', properties: { name: { type: 'string' }, age: { type: 'integer' } }, required: ['name', 'age'] };
    const person = JSON.parse((await client.chat(ask('Mia is 7 years old. Answer in JSON.', { format }))).message.content);
    assert.deepEqual(Object.keys(person).sort(), ['age', 'name']);
    assert.equal(typeof JSON.parse((await client.chat(ask('Mia is 7 years old. Answer in JSON.', { format: 'json' }))).message.content), 'object');
  },

  async 'a prompt is answered, and gone on with'() {
    const first = await client.generate({ model, prompt: 'What is Shimmy?', options: { temperature: 0 } });
    assert.ok(first.response.length > 3 && first.context.length > first.eval_count);
    let text = '';
    for await (const part of await client.generate({ model, prompt: 'Hello', context: first.context, stream: true, options: { temperature: 0 } })) text += part.response;
    assert.ok(text.length > 0);
    const raw = await client.generate({ model, prompt: 'Once upon a time', raw: true, options: { num_predict: 4, temperature: 0 }, logprobs: true, top_logprobs: 2 });
    assert.equal(raw.done_reason, 'length');
    assert.equal(raw.logprobs.length, 4);
    assert.equal(raw.logprobs[0].top_logprobs.length, 2);
    assert.equal(raw.logprobs.map(one => one.token).join(''), raw.response);
  },

  async 'texts are embedded'() {
    const { embeddings } = await client.embed({ model, input: ['one', 'two'] });
    assert.equal(embeddings.length, 2);
    assert.ok(Math.abs(Math.hypot(...embeddings[0]) - 1) < 1e-3);
    assert.equal((await client.embed({ model, input: 'one', dimensions: 8 })).embeddings[0].length, 8);
    assert.equal((await client.embeddings({ model, prompt: 'one' })).embedding.length, embeddings[0].length);
  },

  async 'a model is loaded, seen and unloaded'() {
    await client.generate({ model, prompt: '', keep_alive: '1h' });
    const seen = (await client.ps()).models.find(one => one.name === `${model}:latest`);
    assert.ok(seen.size > 0 && seen.context_length > 0 && Date.parse(seen.expires_at) > Date.now() + 30 * 60_000);
    assert.equal((await client.generate({ model, prompt: '', keep_alive: 0 })).done_reason, 'unload');
    assert.ok(!(await client.ps()).models.some(one => one.name === `${model}:latest`));
  },

  async 'a copy has a name of its own until it is deleted'() {
    await client.copy({ source: model, destination: 'mine' });
    assert.ok((await client.list()).models.some(one => one.name === 'mine:latest'));
    await client.delete({ model: 'mine' });
    await assert.rejects(client.show({ model: 'mine' }), /model 'mine' not found/);
    await assert.rejects(client.delete({ model }), /not deleted/);
  },

  async 'errors have their words'() {
    await assert.rejects(client.chat({ ...ask('Hi'), model: 'nobody' }), error => error.status_code === 404 && error.message === "model 'nobody' not found");
    await assert.rejects(client.chat(ask('Hi', { options: { temperature: -1 } })), error => error.status_code === 400 && /options\.temperature/.test(error.message));
    await assert.rejects(client.pull({ model: 'a b' }), error => error.status_code === 400 && /is not a model name/.test(error.message));
  },

  async 'a stream that is left ends'() {
    const stream = await client.chat(ask('Tell me a story.', { stream: true }));
    for await (const part of stream) if (part.message.content) break;
    assert.equal((await client.chat(ask('Hello'))).done, true);
  },
});
