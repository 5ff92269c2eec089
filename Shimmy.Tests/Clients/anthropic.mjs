// Anthropic's own client against a server: node anthropic.mjs http://host:port/
import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';
import { run, shapes, shown, weather } from './check.mjs';

const client = new Anthropic({ baseURL: process.argv[2] ?? process.env.ANTHROPIC_BASE_URL, apiKey: 'none', maxRetries: 0, timeout: 30_000 });
const model = 'shimmy-demo';
const ask = (content, more = {}) => ({ model, max_tokens: 200, temperature: 0, messages: [{ role: 'user', content }], ...more });
const tool = { name: weather.name, description: weather.description, input_schema: weather.parameters };
const textOf = message => message.content.filter(block => block.type === 'text').map(block => block.text).join('');

await run({
  async 'a stream gives the text of the whole answer'() {
    const whole = await client.messages.create(ask('What is Shimmy?'));
    assert.deepEqual([whole.type, whole.role, whole.stop_reason], ['message', 'assistant', 'end_turn']);
    assert.ok(whole.usage.output_tokens > 3);
    let text = '';
    const stream = client.messages.stream(ask('What is Shimmy?')).on('text', delta => { text += delta; });
    const final = await stream.finalMessage();
    assert.equal(text, textOf(whole));
    assert.equal(textOf(final), text);
    assert.equal(final.usage.output_tokens, whole.usage.output_tokens);
  },

  async 'tokens are counted as the message has them'() {
    const more = { system: 'You are a small model.', tools: [tool] };
    const { input_tokens } = await client.messages.countTokens({ model, messages: [{ role: 'user', content: 'What is the weather in Rome?' }], ...more });
    const message = await client.messages.create(ask('What is the weather in Rome?', more));
    assert.equal(message.usage.input_tokens, input_tokens);
  },

  async 'a tool is called and its result is told'() {
    for (const stream of [false, true]) {
      const request = ask('What is the weather in Rome?', { tools: [tool], tool_choice: { type: 'tool', name: weather.name } });
      const called = stream ? await client.messages.stream(request).finalMessage() : await client.messages.create(request);
      assert.equal(called.stop_reason, 'tool_use');
      const use = called.content.find(block => block.type === 'tool_use');
      assert.deepEqual([use.name, use.input], [weather.name, { city: 'Rome' }]);
      const told = await client.messages.create({
        ...ask('', { tools: [tool] }),
        messages: [{ role: 'user', content: 'What is the weather in Rome?' }, { role: 'assistant', content: called.content },
          { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: '{"temperature": 25, "weather": "sunny"}' }] }],
      });
      assert.match(textOf(told), /sunny/);
    }
  },

  async 'a picture is seen, and a screenshot in the result of a tool'() {
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: shapes } };
    assert.equal(textOf(await client.messages.create(ask([image, { type: 'text', text: 'What is in the picture?' }]))), shown);
    const told = await client.messages.create({
      ...ask('', { tools: [{ name: 'screenshot', description: 'Takes a picture.', input_schema: { type: 'object', properties: {} } }] }),
      messages: [{ role: 'user', content: 'What is in the picture?' }, { role: 'assistant', content: [{ type: 'tool_use', id: 'toolu_1', name: 'screenshot', input: {} }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: [image] }] }],
    });
    assert.equal(textOf(told), shown);
  },

  async 'the tool runner runs tools'() {
    const cities = [];
    const final = await client.beta.messages.toolRunner({
      ...ask('What is the weather in Rome?'),
      tools: [{ ...tool, parse: input => input, run: ({ city }) => { cities.push(city); return '{"temperature": 25, "weather": "sunny"}'; } }],
    });
    assert.deepEqual(cities, ['Rome']);
    assert.match(textOf(final), /sunny/);
  },

  async 'thoughts are blocks of their own'() {
    const stream = client.messages.stream(ask('How much is 2 + 3?', { temperature: undefined, max_tokens: 2000, top_k: 1, thinking: { type: 'enabled', budget_tokens: 1024 } }));
    let thought = '';
    stream.on('thinking', delta => { thought += delta; });
    const message = await stream.finalMessage();
    assert.equal(message.content[0].type, 'thinking');
    assert.equal(message.content[0].thinking, thought);
    assert.ok(message.content[0].signature);
    assert.match(textOf(message), /2 \+ 3/);
  },

  async 'a stop sequence is named'() {
    const whole = textOf(await client.messages.create(ask('Count to 9.')));
    assert.match(whole, /, 5/);
    const cut = await client.messages.create(ask('Count to 9.', { stop_sequences: [', 5'] }));
    assert.deepEqual([cut.stop_reason, cut.stop_sequence], ['stop_sequence', ', 5']);
    assert.equal(textOf(cut), whole.slice(0, whole.indexOf(', 5')));
  },

  async 'errors have their classes'() {
    await assert.rejects(client.messages.create({ ...ask('Hi'), model: 'claude-nobody' }), error => error instanceof Anthropic.NotFoundError && error.error.error.type === 'not_found_error');
    await assert.rejects(client.messages.create(ask('Hi', { temperature: 7 })), error => error instanceof Anthropic.BadRequestError && Boolean(error.requestID));
    await assert.rejects(client.messages.create(ask([{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'aGk=' } }])), Anthropic.BadRequestError);
  },
});
