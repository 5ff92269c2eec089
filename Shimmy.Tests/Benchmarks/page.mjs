// What the page costs a person, in Debian's Chromium: node page.mjs SHIMMY. SHIMMY is the published program; the packages are those of ../Clients (npm ci there).
// Prints: first paint and first answer of an empty profile against a server that has just started (five times, the median and the worst); the longest gap between
// two frames while 10,000 tokens stream; the tab's memory after 10, 30 and 50 answers; what axe finds at 768 pixels.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const require = createRequire(new URL('../Clients/page.mjs', import.meta.url));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'shimmy-page-bench-'));
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const args = ['--no-sandbox', '--disable-dev-shm-usage', '--enable-precise-memory-info', '--js-flags=--expose-gc'];

async function start() {
  const ready = join(folder, 'ready-' + Math.random());
  const child = spawn(process.argv[2], ['serve', '--bind', '127.0.0.1:0', '--ready-file', ready, '--ctx', '16384'], { cwd: folder, stdio: 'ignore' });
  while (!existsSync(ready)) await delay(5);
  return { address: readFileSync(ready, 'utf8').trim(), end: () => new Promise(resolve => { child.once('exit', resolve); child.kill(); }) };
}

const median = values => values.toSorted((a, b) => a - b)[values.length >> 1];

async function ask(page, text) {
  const box = page.getByRole('textbox', { name: 'Message', exact: true });
  await box.fill(text);
  await box.press('Enter');
}

const done = (page, count) => page.locator('.turn.assistant').nth(count).locator('.model-name').waitFor({ timeout: 600_000 });

async function cold() {
  const paints = [], answers = [];
  for (let run = 0; run < 5; run++) {
    const server = await start();
    const browser = await chromium.launch({ executablePath, args });
    const page = await browser.newPage();
    const began = performance.now();
    await page.goto(server.address);
    await ask(page, 'Tell me a story.');
    await page.locator('.turn.assistant .markdown').first().waitFor();
    answers.push(performance.now() - began);
    paints.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime));
    await browser.close();
    await server.end();
  }
  for (const [name, values] of [['first paint', paints], ['first answer, the opening of the page included', answers]])
    console.log(`${name}: median ${Math.round(median(values))} ms, worst ${Math.round(Math.max(...values))} ms`);
}

// The demo model answers in a breath: ten thousand tokens come where the end of an answer is not allowed.
async function long(page) {
  await page.route('**/v1/chat/completions', (route, request) =>
    route.continue({ postData: JSON.stringify({ ...request.postDataJSON(), max_tokens: 10000, ignore_eos: true }) }));
  await page.evaluate(() => {
    globalThis.gaps = [];
    let last = performance.now();
    const frame = now => { globalThis.gaps.push(now - last); last = now; requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
  });
  await ask(page, 'Tell me a story.');
  await done(page, 0);
  const gaps = (await page.evaluate(() => globalThis.gaps)).slice(2).toSorted((a, b) => b - a);
  console.log(`${(await page.locator('.figures').innerText()).replace(/\s+/g, ' ')}: ${gaps.length} frames, longest gaps ${gaps.slice(0, 5).map(gap => gap.toFixed(0)).join(', ')} ms, over 50 ms: ${gaps.filter(gap => gap > 50).length}`);
}

async function memory(page) {
  const session = await page.context().newCDPSession(page);
  for (let count = 1; count <= 50; count++) {
    await ask(page, `Tell me story ${count}.`);
    await done(page, count - 1);
    if (![10, 30, 50].includes(count)) continue;
    await session.send('HeapProfiler.collectGarbage');
    const { usedSize } = await session.send('Runtime.getHeapUsage');
    console.log(`after ${count} answers: ${(usedSize / 1e6).toFixed(2)} MB of script memory`);
  }
}

await cold();
const server = await start();
const browser = await chromium.launch({ executablePath, args });
for (const part of [long, memory]) {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
  await page.goto(server.address);
  await part(page);
  await page.context().close();
}
for (const colorScheme of ['light', 'dark']) {
  const page = await (await browser.newContext({ viewport: { width: 768, height: 800 }, colorScheme })).newPage();
  for (const view of ['chat', 'models', 'workbench', 'live']) {
    await page.goto(new URL('#' + view, server.address).href);
    await delay(500);
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    console.log(`axe, ${view} at 768 pixels, ${colorScheme}: ${violations.length === 0 ? 'nothing' : violations.map(one => one.id).join(', ')}`);
  }
  await page.context().close();
}
await browser.close();
await server.end();
rmSync(folder, { recursive: true, force: true });
