import { readFileSync } from 'node:fs';

// Runs named checks one after another, clears up, and ends with 1 if one fails. Those that ONLY does not name are left out. With two tries
// one that fails is run again, and said: a browser on a busy machine may miss a moment.
export async function run(checks, clear = () => {}, tries = 1) {
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    if (process.env.ONLY && !name.includes(process.env.ONLY)) continue;
    for (let left = tries; left > 0; left--) {
      try {
        await check();
        console.log(`ok ${name}`);
        break;
      } catch (error) {
        if (left === 1) failed++;
        console.log(`${left > 1 ? 'ok (tried again)' : 'FAILED'} ${name}: ${error.stack ?? error}`);
      }
    }
  }
  await clear();
  process.exit(failed > 0 ? 1 : 0);
}

// The picture of the README, as Base64, and what it shows.
export const shapes = readFileSync(new URL('../../docs/shapes.png', import.meta.url)).toString('base64');
export const shown = 'A red circle and a blue square.';

export const weather = {
  name: 'get_weather',
  description: 'Get the weather in a city.',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false },
};
