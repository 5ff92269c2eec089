// Vercel's AI SDK with a provider for Ollama: node ollama-ai.mjs http://host:port
import assert from 'node:assert/strict';
import { embed } from 'ai';
import { createOllama } from 'ollama-ai-provider-v2';
import { run } from './check.mjs';
import { checksOf } from './sdk.mjs';

const provider = createOllama({ baseURL: new URL('api', process.argv[2] ?? process.env.OLLAMA_HOST).toString() });

await run({
  ...checksOf(provider('shimmy-demo')),

  async 'a text is embedded'() {
    const { embedding } = await embed({ model: provider.textEmbeddingModel('shimmy-demo'), value: 'one', maxRetries: 0 });
    assert.ok(embedding.length > 8);
  },
});
