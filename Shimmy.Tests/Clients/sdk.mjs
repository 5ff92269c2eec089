// What any provider of Vercel's AI SDK is asked, whatever dialect it speaks.
import assert from 'node:assert/strict';
import { generateObject, generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { weather } from './check.mjs';

export function checksOf(model) {
  const cities = [];
  const tools = {
    get_weather: tool({
      description: weather.description,
      inputSchema: jsonSchema(weather.parameters),
      execute: async ({ city }) => { cities.push(city); return { temperature: 25, weather: 'sunny' }; },
    }),
  };

  return {
    async 'a stream gives the text of the whole answer'() {
      const whole = await generateText({ model, prompt: 'What is Shimmy?', temperature: 0, maxRetries: 0 });
      assert.equal(whole.finishReason, 'stop');
      const stream = streamText({ model, prompt: 'What is Shimmy?', temperature: 0, maxRetries: 0 });
      let text = '';
      for await (const piece of stream.textStream) text += piece;
      assert.equal(text, whole.text);
      assert.ok((await stream.usage).outputTokens > 3);
    },

    async 'tools are run and their results are told'() {
      const { text } = await generateText({ model, tools, prompt: 'What is the weather in Rome?', temperature: 0, maxRetries: 0, stopWhen: stepCountIs(3) });
      assert.deepEqual(cities, ['Rome']);
      assert.match(text, /sunny/);
      const stream = streamText({ model, tools, prompt: 'What is the weather in Rome?', temperature: 0, maxRetries: 0, stopWhen: stepCountIs(3) });
      assert.match((await stream.text), /sunny/);
      assert.deepEqual(cities, ['Rome', 'Rome']);
    },

    async 'an object follows its schema'() {
      const { object } = await generateObject({ model, schema: z.object({ name: z.string(), age: z.number().int() }), prompt: 'Mia is 7 years old. Answer in JSON.', temperature: 0, maxRetries: 0 });
      assert.equal(typeof object.name, 'string');
      assert.ok(Number.isInteger(object.age));
    },
  };
}
