// Runs named checks one after another, clears up, and ends with 1 if one fails. Those that ONLY does not name are left out.
export async function run(checks, clear = () => {}) {
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    if (process.env.ONLY && !name.includes(process.env.ONLY)) continue;
    try {
      await check();
      console.log(`ok ${name}`);
    } catch (error) {
      failed++;
      console.log(`FAILED ${name}: ${error.stack ?? error}`);
    }
  }
  await clear();
  process.exit(failed > 0 ? 1 : 0);
}

export const weather = {
  name: 'get_weather',
  description: 'Get the weather in a city.',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false },
};
