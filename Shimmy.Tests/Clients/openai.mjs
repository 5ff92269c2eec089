// OpenAI's own client against a server: node openai.mjs http://host:port/v1
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { run, shapes, shown, weather } from './check.mjs';

const client = new OpenAI({ baseURL: process.argv[2] ?? process.env.OPENAI_BASE_URL, apiKey: 'none', maxRetries: 0, timeout: 30_000 });
const model = 'shimmy-demo';
const ask = (content, more = {}) => ({ model, temperature: 0, max_completion_tokens: 200, messages: [{ role: 'user', content }], ...more });

await run({
  async 'models are listed'() {
    const names = [];
    for await (const one of client.models.list()) names.push(one.id);
    assert.ok(names.includes(model), names.join());
    assert.equal((await client.models.retrieve(model)).id, model);
  },

  async 'a stream gives the text of the whole answer'() {
    const whole = await client.chat.completions.create(ask('What is Shimmy?'));
    assert.equal(whole.choices[0].finish_reason, 'stop');
    assert.ok(whole.usage.completion_tokens > 3);
    let text = '';
    const stream = client.chat.completions.stream(ask('What is Shimmy?', { stream_options: { include_usage: true } })).on('content', delta => { text += delta; });
    const final = await stream.finalChatCompletion();
    assert.equal(text, whole.choices[0].message.content);
    assert.equal(final.choices[0].message.content, text);
    assert.equal((await stream.totalUsage()).completion_tokens, whole.usage.completion_tokens);
  },

  async 'a picture is seen, by chat and by responses'() {
    const url = `data:image/png;base64,${shapes}`;
    const chat = await client.chat.completions.create(ask([{ type: 'text', text: 'What is in the picture?' }, { type: 'image_url', image_url: { url, detail: 'low' } }]));
    assert.equal(chat.choices[0].message.content, shown);
    const response = await client.responses.create({
      model, temperature: 0, max_output_tokens: 200,
      input: [{ role: 'user', content: [{ type: 'input_image', image_url: url, detail: 'auto' }, { type: 'input_text', text: 'What is in the picture?' }] }],
    });
    assert.equal(response.output_text, shown);
  },

  async 'tools are run and their results are told'() {
    for (const stream of [false, true]) {
      const cities = [];
      const runner = client.chat.completions.runTools(ask('What is the weather in Rome?', {
        stream,
        tools: [{ type: 'function', function: { ...weather, parse: JSON.parse, function: ({ city }) => { cities.push(city); return { temperature: 25, weather: 'sunny' }; } } }],
      }));
      const text = await runner.finalContent();
      assert.deepEqual(cities, ['Rome']);
      assert.match(text, /sunny/);
    }
  },

  async 'a named function is called, its arguments streamed'() {
    const stream = client.chat.completions.stream(ask('Hello', {
      tools: [{ type: 'function', function: weather }, { type: 'function', function: { ...weather, name: 'other' } }],
      tool_choice: { type: 'function', function: { name: 'other' } },
    }));
    let pieces = '';
    stream.on('tool_calls.function.arguments.delta', delta => { pieces += delta.arguments_delta; });
    const { choices: [{ message, finish_reason }] } = await stream.finalChatCompletion();
    assert.equal(message.tool_calls[0].function.name, 'other');
    assert.equal(pieces, message.tool_calls[0].function.arguments);
    assert.equal(typeof JSON.parse(pieces).city, 'string');
    assert.equal(finish_reason, 'tool_calls');
  },

  async 'an answer is parsed by a schema'() {
    const Person = z.object({ name: z.string(), age: z.number().int(), tags: z.array(z.enum(['a', 'b'])).max(2) });
    const answer = await client.chat.completions.parse(ask('Mia is 7 years old. Answer in JSON.', { response_format: zodResponseFormat(Person, 'person') }));
    const { parsed } = answer.choices[0].message;
    assert.equal(typeof parsed.name, 'string');
    assert.ok(Number.isInteger(parsed.age));
    const streamed = await client.chat.completions.stream(ask('Mia is 7 years old. Answer in JSON.', { response_format: zodResponseFormat(Person, 'person') })).finalChatCompletion();
    assert.deepEqual(streamed.choices[0].message.parsed, parsed);
  },

  async 'log probabilities come with the tokens'() {
    const { choices: [{ logprobs, message }] } = await client.chat.completions.create(ask('Hello', { logprobs: true, top_logprobs: 2 }));
    assert.equal(logprobs.content.map(one => one.token).join('').trim(), message.content);
    assert.equal(logprobs.content[0].top_logprobs.length, 2);
  },

  async 'texts are completed and embedded'() {
    const completion = await client.completions.create({ model, prompt: 'Once upon a time', max_tokens: 8, temperature: 0, echo: true, logprobs: 1 });
    assert.match(completion.choices[0].text, /^Once upon a time/);
    assert.equal(completion.choices[0].logprobs.token_logprobs.length, completion.choices[0].logprobs.tokens.length);
    const { data } = await client.embeddings.create({ model, input: ['one', 'two'] });
    assert.equal(data.length, 2);
    assert.ok(Math.abs(Math.hypot(...data[0].embedding) - 1) < 1e-3);
  },

  async 'responses are answered, streamed, kept and forgotten'() {
    const whole = await client.responses.create({ model, temperature: 0, input: 'What is Shimmy?' });
    assert.equal(whole.status, 'completed');
    const stream = client.responses.stream({ model, temperature: 0, input: 'What is Shimmy?' });
    const names = [];
    for await (const event of stream) names.push(event.type);
    assert.deepEqual([names[0], names[1], names.at(-1)], ['response.created', 'response.in_progress', 'response.completed']);
    assert.equal((await stream.finalResponse()).output_text, whole.output_text);
    const called = await client.responses.create({ model, temperature: 0, input: 'What is the weather in Rome?', tools: [{ type: 'function', ...weather, strict: true }], tool_choice: 'required' });
    const call = called.output.find(item => item.type === 'function_call');
    assert.deepEqual([call.name, JSON.parse(call.arguments).city], ['get_weather', 'Rome']);
    const told = await client.responses.create({ model, temperature: 0, previous_response_id: called.id, tools: [{ type: 'function', ...weather, strict: true }],
      input: [{ type: 'function_call_output', call_id: call.call_id, output: '{"temperature": 25, "weather": "sunny"}' }] });
    assert.match(told.output_text, /sunny/);
    assert.equal((await client.responses.retrieve(told.id)).output_text, told.output_text);
    await client.responses.delete(told.id);
    await assert.rejects(client.responses.retrieve(told.id), OpenAI.NotFoundError);
  },

  async 'errors have their classes'() {
    await assert.rejects(client.chat.completions.create({ ...ask('Hi'), model: 'nobody' }), error => error instanceof OpenAI.NotFoundError && error.code === 'model_not_found');
    await assert.rejects(client.chat.completions.create(ask('Hi', { temperature: -1 })), error => error instanceof OpenAI.BadRequestError && error.param === 'temperature');
  },

  async 'a stream that is left ends'() {
    const stream = await client.chat.completions.create(ask('Tell me a story.', { stream: true }));
    for await (const chunk of stream) if (chunk.choices[0].delta.content) break;
    assert.equal((await client.chat.completions.create(ask('Hello'))).choices[0].finish_reason, 'stop');
  },
});
