// The page in a browser: node page.mjs SHIMMY http://host:port/ MS [FOLDER]. SHIMMY is the program, of which some checks start servers
// of their own; hostile answers come from a server in here. MS is what the first answer may take, FOLDER gets pictures. CHROMIUM names the browser where it is not Debian's.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { run } from './check.mjs';

const [,, program, address, limit, pictures] = process.argv;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'shimmy-page-'));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'],
});
const views = ['chat', 'models', 'workbench', 'live'];

// A page of an empty profile. What it asks of another origin, a script that fails and a refusal by the policy all fail the check.
async function open(at = address, { view = '', context: options = {}, mayFail = false } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.faults = [];
  page.on('pageerror', error => page.faults.push(error.stack));
  page.on('console', message => {
    if (message.type() === 'error' && (!mayFail || /Content.Security.Policy|Trusted/.test(message.text()))) page.faults.push(message.text());
  });
  page.on('request', request => {
    if (!request.url().startsWith(new URL(at).origin) && !/^(data|blob):/.test(request.url())) page.faults.push('asked ' + request.url());
  });
  await page.goto(new URL(view ? '#' + view : '', at).href);
  return page;
}

async function close(page) {
  const { faults } = page;
  await page.context().close();
  assert.deepEqual(faults, []);
}

const message = page => page.getByRole('textbox', { name: 'Message', exact: true });
const answers = page => page.locator('.turn.assistant');
const figures = page => page.locator('.turn.assistant:last-child .model-name');

async function ask(page, text) {
  await message(page).fill(text);
  await message(page).press('Enter');
}

async function start(...options) {
  const ready = join(folder, 'ready-' + Math.random());
  const port = options.find(one => one.startsWith('port='))?.slice(5) ?? '0';
  const child = spawn(program, ['serve', '--bind', port, '--ready-file', ready, '--threads', '1', ...options.filter(one => !one.startsWith('port='))], { cwd: folder, stdio: 'ignore' });
  for (let tries = 0; !existsSync(ready); tries++) {
    if (child.exitCode !== null || tries > 600) throw new Error('the server was not ready within 30 s');
    await delay(50);
  }
  return { address: readFileSync(ready, 'utf8').trim(), kill: () => new Promise(resolve => { child.once('exit', resolve); child.kill('SIGKILL'); }) };
}

// The real page before a model that answers what the check says.
async function hostile(answer, step = 20000, capabilities = []) {
  const asked = [];
  const front = createServer(async (request, response) => {
    if (request.url === '/v1/rerank') {
      response.end(JSON.stringify({ results: [{ index: 1, relevance_score: 0.9 }, { index: 0, relevance_score: 0.2 }] }));
      return;
    }
    if (request.url === '/v1/chat/completions') {
      asked.push(Buffer.concat(await request.toArray()).toString());
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let at = 0; at < answer.length; at += step)
        response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: answer.slice(at, at + step) }, finish_reason: null }] })}\n\n`);
      response.end('data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n');
      return;
    }
    if (request.url === '/api/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('event: hello\ndata: {"version":"0","prompts":false}\n\n');
      return;
    }
    const real = await fetch(new URL(request.url.slice(1), address));
    const headers = Object.fromEntries([...real.headers].filter(([name]) => !['content-encoding', 'content-length', 'transfer-encoding'].includes(name)));
    response.writeHead(real.status, headers);
    let body = Buffer.from(await real.arrayBuffer());
    if (request.url === '/api/models') {
      const list = JSON.parse(body);
      for (const model of list.models) model.capabilities.push(...capabilities);
      body = JSON.stringify(list);
    }
    response.end(body);
  });
  await new Promise(resolve => front.listen(0, '127.0.0.1', resolve));
  return { asked, address: `http://127.0.0.1:${front.address().port}/`, close: () => { front.closeAllConnections(); front.close(); } };
}

// For a violation: where it is and what is wrong.
async function violations(page) {
  await page.evaluate(axe);
  const { violations: found } = await page.evaluate(() => globalThis.axe.run());
  return found.map(one => `${one.id}: ${one.nodes.map(node => node.target.join(' ')).slice(0, 3).join(', ')}`);
}

async function shot(page, name) {
  if (pictures) await page.screenshot({ path: join(pictures, name + '.png') });
}

await run({
  async 'a first answer comes in time from an empty profile'() {
    const page = await open();
    const began = performance.now();
    await ask(page, 'Tell me a story.');
    await page.locator('.turn.assistant .markdown').first().waitFor();
    const took = performance.now() - began;
    await figures(page).waitFor();
    assert.match(await answers(page).innerText(), /\w+ \w+/);
    assert.match(await page.locator('.figures').innerText(), /\d+ tokens[\s\S]*tok\/s[\s\S]*first after/);
    const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime);
    console.log(`ok measured: first answer after ${Math.round(took)} ms, first paint after ${Math.round(paint)} ms`);
    assert.ok(took < limit, `${took} ms`);
    await ask(page, 'What is Shimmy?');
    await answers(page).nth(1).locator('.model-name').waitFor();
    await shot(page, 'page');
    await close(page);
  },

  async 'an answer is stopped, made again and edited into a branch'() {
    const page = await open();
    // One that does not end by itself before a busy browser has shown that it can be stopped.
    await page.route('**/v1/chat/completions', route =>
      route.continue({ postData: JSON.stringify({ ...route.request().postDataJSON(), ignore_eos: true }) }), { times: 1 });
    await ask(page, 'Tell me a long story.');
    await page.getByRole('button', { name: 'Stop', exact: true }).waitFor();
    await page.locator('.turn.assistant .markdown').first().waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Send', exact: true }).waitFor();
    await page.getByRole('button', { name: 'Answer again' }).click();
    await figures(page).waitFor();
    await page.getByText('2 of 2', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Previous branch' }).click();
    await page.getByText('1 of 2', { exact: true }).waitFor();

    await page.getByRole('button', { name: 'Edit and send again' }).click();
    await page.getByRole('textbox', { name: 'Edit message' }).fill('Hello');
    await page.locator('.bubble').getByRole('button', { name: 'Send', exact: true }).click();
    await page.locator('.turn.assistant .model-name').waitFor();
    assert.equal(await page.locator('.turn.user .branches').innerText(), '2 of 2');
    await page.locator('.turn.user').getByRole('button', { name: 'Previous branch' }).click();
    await page.locator('.said', { hasText: 'long story' }).waitFor();

    // All of it is there after the page was opened anew.
    await page.reload();
    await page.getByText('1 of 2', { exact: true }).first().waitFor();
    assert.match(await page.locator('.said').innerText(), /long story/);
    const kept = await page.evaluate(async () => [Object.keys(localStorage).length > 0, document.cookie, (await indexedDB.databases()).length, (await caches.keys()).length]);
    assert.deepEqual(kept, [true, '', 0, 0]);
    await close(page);
  },

  async 'thinking is folded, and a call of a tool takes its result'() {
    const page = await open();
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.getByLabel('Tools').fill(JSON.stringify([{ type: 'function', function: { name: 'get_weather', description: 'Get the weather in a city.', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } } }]));
    await page.getByLabel('Temperature').fill('0');
    await page.getByRole('button', { name: 'Use these settings' }).click();
    await ask(page, 'What is the weather in Paris?');
    await page.getByText('get_weather', { exact: true }).waitFor();
    assert.match(await page.locator('.call pre').first().innerText(), /Paris/);
    await page.getByLabel('Result of get_weather').fill('{"temperature": 21, "sky": "sunny"}');
    await page.getByRole('button', { name: 'Give the results' }).click();
    await page.locator('.turn.assistant:last-child .markdown').waitFor();
    await figures(page).waitFor();
    await shot(page, 'tool');
    await close(page);
  },

  async 'a hostile answer does nothing and the page stays usable'() {
    const front = await hostile([
      '<script>window.hit = 1</script><img src=x onerror="window.hit = 1"><iframe src="javascript:parent.hit = 1"></iframe>',
      '[a](javascript:window.hit=1) [b](data:text/html,x) [c](  JaVaScRiPt:alert(1)) <javascript:alert(1)> ![p](http://127.0.0.1:9/pixel.png)',
      '[ok](https://example.org/x) https://example.org/(y) `code` **bold _it_** \u0000\u0007\u001b[31m \u202eevil\u202c \u200f',
      '| a | b |\n| - | - |\n| <b>1</b> | [x](vbscript:x) |', '```html\n<script>window.hit = 1</script>\n```', '> '.repeat(500) + 'deep', '*'.repeat(3000), '['.repeat(3000),
      '- '.repeat(400) + 'deep', '# head\n1. one\n2. two\n   - in\n- [x] done',
    ].join('\n\n'));
    const page = await open(front.address);
    await ask(page, 'hi');
    await figures(page).waitFor();
    assert.equal(await page.evaluate(() => globalThis.hit), undefined);
    assert.equal(await page.locator('.markdown :is(script, img, iframe, object, style, form)').count(), 0);
    const links = await page.locator('.markdown a').evaluateAll(all => all.map(one => one.getAttribute('href')));
    assert.deepEqual(links, ['http://127.0.0.1:9/pixel.png', 'https://example.org/x', 'https://example.org/(y)']);
    const text = await page.locator('.markdown').innerText();
    assert.ok(!/[\u0000-\u0008\u000b-\u001f\u202a-\u202e]/.test(text), 'control characters are shown, not sent to the screen');
    assert.ok(text.includes('\u241b'), 'and shown');
    await ask(page, 'still there?');
    await figures(page).waitFor();
    await shot(page, 'hostile');
    await close(page);
    front.close();
  },

  async 'Markdown that streamed is what the whole makes, and each block has its own direction'() {
    const front = await hostile([
      '# عنوان', 'هذا **نص** عربي مع `code` و [رابط](https://example.org).', '- بند أول\n- بند ثان\n  1. مرقم', 'English with ~~old~~ *new*:',
      '| Name | Value |\n|:--|--:|\n| a | 1 |', '> A quote\n> of two lines', '```js\nlet x = `1`;\n\nlet y;\n```', '1. First\n2. Second\n\n   Inside.\n\n3. Third', '---', 'End.',
    ].join('\n\n'), 5);
    const page = await open(front.address);
    await ask(page, 'hi');
    await figures(page).waitFor();
    const markup = () => page.locator('.answer > .markdown').evaluate(element => element.innerHTML);
    const streamed = await markup();
    await page.reload();
    await page.locator('.answer > .markdown').waitFor();
    assert.equal(await markup(), streamed);
    const tags = await page.locator('.answer > .markdown').evaluate(element => [...element.children].map(one => one.tagName.toLowerCase()).join(' '));
    assert.equal(tags, 'h3 p ul p div blockquote div ol hr p');
    const sides = await page.locator('.answer > .markdown > :is(h3, p, ul, ol)').evaluateAll(all => all.map(one => getComputedStyle(one).direction).join(' '));
    assert.equal(sides, 'rtl rtl rtl ltr ltr ltr');
    await close(page);
    front.close();
  },

  async 'an answer of a million characters stays usable'() {
    for (const answer of ['x'.repeat(1_000_000), 'word '.repeat(200_000), '- item **bold**\n'.repeat(62_500), '```\n' + 'code line\n'.repeat(100_000)]) {
      const front = await hostile(answer);
      const page = await open(front.address);
      await ask(page, 'hi');
      await figures(page).waitFor();
      const began = performance.now();
      await message(page).fill('next');
      await page.getByRole('button', { name: /^Show more/ }).waitFor();
      assert.ok(performance.now() - began < 1500, `${performance.now() - began} ms until the next message was written`);
      await close(page);
      front.close();
    }
  },

  async 'pictures are shrunk and go with the message, by choice, paste and drop, to a model that sees'() {
    const front = await hostile('A red square.', 5, ['vision', 'rerank']);
    const page = await open(front.address);
    await page.getByRole('button', { name: 'Add a picture' }).waitFor();
    const large = await page.evaluate(async () => {
      const canvas = new OffscreenCanvas(1600, 800);
      canvas.getContext('2d').fillRect(0, 0, 1600, 800);
      const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
      return Array.from(bytes);
    });
    await page.locator('input[accept="image/*"]').setInputFiles({ name: 'a.png', mimeType: 'image/png', buffer: Buffer.from(large) });
    await page.getByAltText('Picture 1 to send').waitFor();
    for (const [selector, type] of [['.composer textarea', 'paste'], ['.chat', 'drop']]) {
      await page.locator(selector).first().evaluate((element, [kind, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], 'b.png', { type: 'image/png' }));
        element.dispatchEvent(kind === 'paste' ? new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })
          : new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
      }, [type, large]);
    }
    await page.getByAltText('Picture 3 to send').waitFor();
    await page.getByRole('button', { name: 'Remove picture 3' }).click();
    await ask(page, 'What is this?');
    await figures(page).waitFor();
    const { content } = JSON.parse(front.asked.at(-1)).messages[0];
    assert.deepEqual(content.map(part => part.type), ['image_url', 'image_url', 'text']);
    const size = await page.evaluate(url => new Promise(resolve => { const image = new Image(); image.onload = () => resolve([image.width, image.height]); image.src = url; }), content[0].image_url.url);
    assert.deepEqual(size, [1280, 640]);
    assert.equal(await page.locator('.bubble img').count(), 2);

    await page.goto(new URL('#workbench', front.address).href);
    await page.getByRole('tab', { name: 'Rerank' }).click();
    await page.getByRole('button', { name: 'Rank' }).click();
    assert.match(await page.locator('.ranked li').first().innerText(), /stock market[\s\S]*0\.900/);
    await close(page);
    front.close();
  },

  async 'a schema holds the answer, and what is set can be reset'() {
    const page = await open();
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.getByLabel('JSON schema of the answer').fill('{"type": ');
    await page.getByRole('button', { name: 'Use these settings' }).click();
    assert.equal(await page.getByRole('dialog').count(), 1, 'what is no JSON is not taken');
    await page.getByLabel('JSON schema of the answer').fill('{"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"], "additionalProperties": false}');
    await page.getByRole('button', { name: 'Use these settings' }).click();
    await page.getByRole('button', { name: 'Settings, 1 set' }).waitFor();
    await ask(page, 'What is 2 plus 3?');
    await figures(page).waitFor();
    assert.equal(typeof JSON.parse(await page.locator('.answer .markdown').innerText()).answer, 'number');
    await page.getByRole('button', { name: 'Settings, 1 set' }).click();
    await page.getByRole('button', { name: 'Reset' }).click();
    await page.getByRole('button', { name: 'Settings', exact: true }).waitFor();
    await close(page);
  },

  async 'conversations are searched, deleted, brought back, exported and imported'() {
    const page = await open();
    const titles = async () => (await page.locator('.conversations a').allInnerTexts()).join(' | ');
    for (const text of ['Hello', 'What is Shimmy?']) {
      await page.getByRole('button', { name: 'New conversation' }).click();
      await ask(page, text);
      await figures(page).waitFor();
    }
    assert.equal(await titles(), 'What is Shimmy? | Hello');
    await page.getByRole('searchbox', { name: 'Search conversations' }).fill('local server');
    assert.equal(await titles(), 'What is Shimmy?', 'the answer has it');
    await page.getByRole('searchbox', { name: 'Search conversations' }).fill('');
    const waits = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Export' }).click();
    const file = await (await waits).path();
    assert.equal(JSON.parse(readFileSync(file, 'utf8')).conversations.length, 2);
    await page.locator('.conversations li').nth(1).hover();
    await page.getByRole('button', { name: 'Delete Hello' }).click();
    assert.equal(await titles(), 'What is Shimmy?');
    await page.getByRole('button', { name: 'Undo' }).click();
    assert.match(await titles(), /Hello/);
    await page.evaluate(() => localStorage.clear());
    await page.reload();
    await page.locator('input[accept^="application/json"]').setInputFiles({ name: 'c.json', mimeType: 'application/json', buffer: readFileSync(file) });
    await page.getByText('2 conversations imported.').waitFor();
    assert.equal(await titles(), 'What is Shimmy? | Hello');
    await page.getByRole('link', { name: 'Hello' }).click();
    await page.locator('.said').getByText('Hello').waitFor();
    await page.locator('input[accept^="application/json"]').setInputFiles({ name: 'd.json', mimeType: 'application/json', buffer: Buffer.from('{"x": 1}') });
    await page.getByText('The file could not be imported').waitFor();
    await close(page);
  },

  async 'a server with keys is asked with the key that was given for the tab'() {
    const server = await start('--api-key', 'open-sesame', '--base-path', '/llm');
    const page = await open(server.address, { mayFail: true });
    const key = page.getByRole('textbox', { name: 'API key' });
    await key.fill('wrong');
    await key.press('Enter');
    await page.getByText('the API key is not valid').waitFor();
    await shot(page, 'key');
    await key.fill('open-sesame');
    await key.press('Enter');
    await page.getByRole('combobox', { name: 'Model' }).waitFor();
    await page.waitForFunction(() => document.querySelector('.model option')?.value === 'shimmy-demo');
    assert.equal(await page.evaluate(() => Object.keys(localStorage).some(name => localStorage[name].includes('sesame'))), false);
    await page.goto(new URL('llm', server.address).href);
    assert.ok(page.url().endsWith('/llm/'), page.url());
    await ask(page, 'Hello');
    await figures(page).waitFor();
    await server.kill();
    await close(page);
  },

  async 'a server that was killed is missed, and greeted when it is back'() {
    const first = await start();
    const page = await open(first.address, { mayFail: true });
    await ask(page, 'Tell me a long story.');
    await page.locator('.turn.assistant .markdown').first().waitFor();
    await first.kill();
    await page.getByText('Server not reachable, trying again').waitFor();
    await ask(page, 'Are you there?');
    await page.getByText('The server does not answer.').first().waitFor();
    await shot(page, 'gone');
    const second = await start('port=' + new URL(first.address).port);
    await page.getByText('Server not reachable').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Try again' }).last().click();
    await figures(page).waitFor();
    assert.equal(await page.locator('.turn.assistant:last-child .fault').count(), 0);
    await second.kill();
    await close(page);
  },

  async 'a model is loaded, pinned and unloaded, and a refusal is told word for word'() {
    mkdirSync(join(folder, 'models'), { recursive: true });
    writeFileSync(join(folder, 'models', 'broken.gguf'), 'GGUF but not really');
    const server = await start('--memory-budget', '20MiB');
    const page = await open(server.address, { view: 'models', mayFail: true });
    await page.getByRole('button', { name: 'Load', exact: true }).hover();
    await page.getByText('would need').first().waitFor();
    await page.getByRole('button', { name: 'Load', exact: true }).click();
    const refusal = await (await fetch(new URL('api/models/shimmy-demo/load', server.address), { method: 'POST' })).json();
    await page.getByText(refusal.error).waitFor();
    await page.getByText(/skipped/).click();
    await page.getByText('broken.gguf').waitFor();
    await shot(page, 'refusal');
    await server.kill();
    await close(page);

    await fetch(new URL('api/models/shimmy-demo/unload', address), { method: 'POST' });
    const other = await open(address, { view: 'models' });
    const button = name => other.getByRole('article', { name: 'shimmy-demo' }).getByRole('button', { name, exact: true });
    await other.getByRole('article', { name: 'shimmy-demo' }).waitFor();
    await button('Load').click();
    await button('Pin').click();
    await button('Unpin').waitFor();
    await other.getByText('In memory, pinned').waitFor();
    await button('Unload').click();
    await button('Load').waitFor();
    await close(other);
  },

  async 'every tool of the workbench gives what it is for'() {
    const page = await open(address, { view: 'workbench' });
    for (const [tab, go, sees] of [['Tokens', 'Tokenize', '.token'], ['Prompt', 'Render', '.prompt-text'], ['Probabilities', 'Generate', '.prob'],
      ['Compare', 'Compare', '.split .markdown p'], ['Embeddings', 'Compare', '.cell']]) {
      await page.getByRole('tab', { name: tab }).click();
      await page.getByRole('button', { name: go, exact: true }).click();
      await page.locator(sees).first().waitFor();
      if (tab === 'Probabilities') {
        await page.locator('.prob').first().click();
        await page.locator('.alternatives').waitFor();
      }
    }
    await close(page);
  },

  async 'the live view shows requests and the log'() {
    const page = await open(address, { view: 'live' });
    const id = 'seen-' + Math.random().toString(36).slice(2, 7);
    await fetch(new URL('v1/completions', address), { method: 'POST', headers: { 'x-request-id': id }, body: JSON.stringify({ model: 'shimmy-demo', prompt: 'x', max_tokens: 3 }) });
    await page.getByRole('button', { name: id }).click();
    await page.getByRole('dialog').getByText('ended with 200').waitFor();
    await page.keyboard.press('Escape');
    await page.getByText(id + ' POST /v1/completions').waitFor();
    await close(page);
  },

  async 'every view is usable by keyboard and has nothing that axe finds, from 320 to 1440 pixels, in light and dark'() {
    const found = [];
    for (const colorScheme of ['light', 'dark']) {
      const page = await open(address, { context: { viewport: { width: 320, height: 800 }, colorScheme, reducedMotion: 'reduce' } });
      await ask(page, 'Hello');
      for (const width of [320, 768, 1440]) {
        await page.setViewportSize({ width, height: 800 });
        for (const view of views) {
          await page.goto(new URL('#' + view, address).href);
          if (view === 'chat') {
            await figures(page).waitFor();
          } else {
            await page.locator('h1').waitFor();
            await page.waitForTimeout(150);
          }
          const wide = await page.evaluate(() => document.documentElement.scrollWidth);
          assert.ok(wide <= width, `${view} at ${width} is ${wide} wide`);
          await shot(page, `${view}-${width}-${colorScheme}`);
          if (width !== 768) found.push(...(await violations(page)).map(one => `${view} at ${width}, ${colorScheme}: ${one}`));
        }
      }
      await close(page);
    }
    assert.deepEqual(found, []);
    const page = await open();
    await message(page).waitFor();
    await page.keyboard.press('Alt+2');
    await page.getByRole('heading', { name: 'Models' }).waitFor();
    await page.keyboard.press('Alt+1');
    await message(page).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Message');
    await close(page);
  },
}, async () => {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}, 2);
