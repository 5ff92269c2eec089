// Vercel's AI SDK with its provider for compatible servers: node ai.mjs http://host:port/v1
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { run } from './check.mjs';
import { checksOf } from './sdk.mjs';

const provider = createOpenAICompatible({ name: 'shimmy', baseURL: process.argv[2] ?? process.env.OPENAI_BASE_URL, supportsStructuredOutputs: true, includeUsage: true });

await run(checksOf(provider('shimmy-demo')));
