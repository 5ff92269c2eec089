// Ollama's own client pulls from a registry that stands in for Ollama's, and deletes: node ollama-pull.mjs http://host:port
import assert from 'node:assert/strict';
import { Ollama } from 'ollama';
import { run } from './check.mjs';

const client = new Ollama({ host: process.argv[2] });

await run({
  async 'a model is pulled with progress'() {
    const parts = [];
    for await (const part of await client.pull({ model: 'tiny:1b', stream: true })) parts.push(part);
    assert.equal(parts[0].status, 'pulling manifest');
    assert.equal(parts.at(-1).status, 'success');
    const layers = parts.filter(part => part.digest);
    assert.ok(layers.length >= 3 && layers.every(part => part.total > 0 && part.completed <= part.total && part.digest.startsWith('sha256:')));
    assert.ok((await client.list()).models.some(one => one.name === 'tiny:1b'));
  },

  async 'what is here is pulled at once'() {
    assert.equal((await client.pull({ model: 'tiny:1b' })).status, 'success');
  },

  async 'a model that no registry has is an error'() {
    await assert.rejects(client.pull({ model: 'nobody' }), error => error.status_code === 404 && /has no model nobody/.test(error.message));
  },

  async 'what was pulled is deleted'() {
    await client.delete({ model: 'tiny:1b' });
    assert.ok(!(await client.list()).models.some(one => one.name === 'tiny:1b'));
  },
});
