// What the server does now: charts of the last quarter of an hour, requests, the tail of the log.
import {h, svg, button, bytes, milliseconds, number, openDialog} from './dom.js';
import {live} from './live-data.js';
import {visible} from './markdown.js';

let onlyAsking = true;

const Charts = [
  {title: 'Tokens per second', value: point => point.tokens_per_second, text: value => number(value, 1)},
  {title: 'First token', value: point => point.first_token_ms, text: milliseconds},
  {title: 'Requests, running and waiting', value: point => point.running, other: point => point.waiting, text: value => number(value), both: (a, b) => `${a} + ${b} waiting`},
  {title: 'Memory', value: point => point.server_bytes + point.models_bytes, text: bytes},
];

export function show(main) {
  const parts = {
    charts: Charts.map(chart), body: h('tbody'), log: h('div', {class: 'log', tabindex: '0', role: 'log', 'aria-live': 'off', 'aria-label': 'Log'}),
    note: h('p', {class: 'note'}), asking: h('input', {type: 'checkbox', id: 'asking', checked: onlyAsking, onchange: () => { onlyAsking = parts.asking.checked; renderRequests(parts); }}),
  };
  main.append(h('div', {class: 'page'}, h('div', {class: 'page-head'}, h('h1', null, 'Live'), parts.note),
    h('section', {class: 'charts', 'aria-label': 'The last quarter of an hour'}, parts.charts.map(one => one.element)),
    h('section', {class: 'stack', 'aria-labelledby': 'requests-head'}, h('div', {class: 'row'}, h('h2', {id: 'requests-head', class: 'grow'}, 'Requests'), parts.asking, h('label', {for: 'asking'}, 'Only those that ask a model, or failed')),
      h('div', {class: 'table card', tabindex: '0', role: 'region', 'aria-label': 'Table of requests'}, h('table', {class: 'requests'},
        h('thead', null, h('tr', null, ['Request', 'Route', 'Model', 'Key', 'State', 'First token', 'Tokens', 'tok/s', 'Cached', 'Time']
          .map((label, index) => h('th', {class: index > 4 ? 'end' : null, scope: 'col'}, label)))), parts.body))),
    h('section', {class: 'stack', 'aria-labelledby': 'log-head'}, h('h2', {id: 'log-head'}, 'Log'), parts.log)));
  const onRequests = () => renderRequests(parts);
  const onFigures = () => parts.charts.forEach(one => one.render());
  const onLog = () => renderLog(parts);
  const onHello = () => { renderHello(parts); onRequests(); onFigures(); onLog(); };
  const listeners = {hello: onHello, requests: onRequests, figures: onFigures, log: onLog};
  for (const [name, listener] of Object.entries(listeners)) live.addEventListener(name, listener);
  onHello();
  return () => {
    for (const [name, listener] of Object.entries(listeners)) live.removeEventListener(name, listener);
  };
}

function renderHello({note}) {
  note.textContent = live.hello ? `Shimmy ${live.hello.version}` + (live.hello.prompts ? ', prompts are logged' : '') : 'Connecting…';
}

function chart({title, value, other, text, both}) {
  const now = h('div', {class: 'now'}, '–');
  const most = h('span');
  const drawing = svg('svg', {viewBox: '0 0 180 60', preserveAspectRatio: 'none', role: 'img', 'aria-label': title});
  const element = h('div', {class: 'card chart'}, h('h2', null, title), now, drawing, h('div', {class: 'span'}, h('span', null, '15 minutes'), most));
  const render = () => {
    const points = live.figures;
    const last = points.findLast(point => value(point) !== null);
    const all = points.map(value);
    const top = Math.max(...all.map(one => one ?? 0), 1e-9);
    const isFlat = top < 1e-6;
    now.textContent = !last ? '–' : both ? both(text(value(points.at(-1))), text(other(points.at(-1)))) : text(value(last));
    most.textContent = isFlat ? '' : 'most ' + text(top);
    drawing.setAttribute('aria-label', `${title}, now ${now.textContent}, ${most.textContent}`);
    // Newest at the right; where nothing was measured the line goes on as it was.
    let y = 59;
    const path = all.map((one, index) => {
      if (one !== null) y = 59 - 56 * one / top;
      return `${index ? 'L' : 'M'}${(180 - points.length + index + 1).toFixed(0)} ${y.toFixed(1)}`;
    }).join('');
    drawing.replaceChildren(svg('line', {class: 'base', x1: 0, x2: 180, y1: 59.500, y2: 59.500}));
    if (points.length > 1)
      drawing.append(svg('path', {class: 'area', d: `${path}L180 60L${181 - points.length} 60Z`}), svg('path', {class: 'line', d: path}));
  };
  return {element, render};
}

const States = {reading: 'reading', loading: 'waits for the model', queued: 'queued', prefill: 'reads the prompt', generating: 'answers'};

// Rows stay as elements while a request changes, so that a click meets what it was meant for.
function renderRequests(parts) {
  const {body} = parts;
  const rows = [...live.running, ...[...live.ended].reverse()].filter(one => !onlyAsking || one.model || one.status >= 400);
  const before = parts.rows ?? new Map();
  parts.rows = new Map();
  const elements = rows.map(request => {
    // Clients may give two requests one id.
    const key = request.id + request.started_at;
    const row = before.get(key) ?? newRow(request.id, request.started_at);
    parts.rows.set(key, row);
    const isRunning = request.state !== 'ended';
    const rate = request.tokens_per_second
      ?? (isRunning && request.first_token_ms !== null && request.elapsed_ms > request.first_token_ms
        ? request.generated_tokens * 1000 / (request.elapsed_ms - request.first_token_ms) : null);
    const state = isRunning ? States[request.state] + (request.place ? `, place ${request.place}` : '') : String(request.status);
    row.children[4].className = isRunning ? 'running' : request.status >= 400 ? 'failed' : '';
    [request.path, request.model ?? '–', request.key ?? '–', state, milliseconds(request.first_token_ms), number(request.generated_tokens),
      rate ? number(rate, 1) : '–', cached(request), milliseconds(request.elapsed_ms)].forEach((text, index) => {
      const cell = row.children[index + 1];
      if (cell.textContent !== text) cell.textContent = text;
    });
    return row;
  });
  if (elements.length === 0) elements.push(h('tr', null, h('td', {colspan: 10}, 'No requests yet.')));
  if (elements.length !== body.children.length || elements.some((row, index) => body.children[index] !== row)) {
    const focused = document.activeElement;
    body.replaceChildren(...elements);
    if (body.contains(focused)) focused.focus({preventScroll: true});
  }
}

function newRow(id, startedAt) {
  return h('tr', null, h('td', null, button(id.replace(/^req_/, '').slice(0, 10), () => openRequest(id, startedAt), {title: id})),
    Array.from({length: 9}, (_, index) => h('td', {class: index > 3 ? 'end' : null})));
}

// Where cached tokens came from: the whole answer from the response cache, or a prefix of the prompt from the KV cache.
function cached(request) {
  return request.response_cache === 'hit' ? 'whole answer'
    : request.prompt_tokens ? `${number(request.cached_tokens)} of ${number(request.prompt_tokens)}` : '–';
}

function openRequest(id, startedAt) {
  const request = [...live.running, ...live.ended].find(one => one.id === id && one.started_at === startedAt);
  if (!request) return;
  const facts = [['Id', request.id], ['Route', `${request.method} ${request.path}`], ['Model', request.model], ['Key', request.key],
    ['Began', new Date(request.started_at).toLocaleString()], ['State', request.state === 'ended' ? `ended with ${request.status}` : States[request.state]],
    ['Error', request.error], ['Prompt', request.prompt_tokens ? `${number(request.prompt_tokens)} tokens` : null],
    ['Cached', request.prompt_tokens ? cached(request) + (request.cached_tokens && request.response_cache !== 'hit' ? ' tokens, from the KV cache' : '') : null],
    ['Answer', request.generated_tokens ? `${number(request.generated_tokens)} tokens` : null],
    ['Queued', request.queue_ms === undefined ? null : milliseconds(request.queue_ms)],
    ['First token', request.first_token_ms === null ? null : milliseconds(request.first_token_ms)], ['Time', milliseconds(request.elapsed_ms)]];
  openDialog('Request', h('div', {class: 'stack'},
    h('dl', {class: 'facts-list'}, facts.filter(([, value]) => value).map(([name, value]) => [h('dt', null, name), h('dd', null, value)])),
    request.prompt === undefined
      ? h('p', {class: 'note'}, live.hello?.prompts ? 'Its prompt is not shown: it has none, or came with another key.' : 'The server shows prompts and answers with --log-prompts.')
      : [h('h3', null, 'Prompt'), h('pre', {class: 'prompt-text', tabindex: '0', dir: 'auto'}, visible(request.prompt)),
        h('h3', null, 'Answer'), h('pre', {class: 'prompt-text', tabindex: '0', dir: 'auto'}, visible(request.answer ?? ''))]));
}

function renderLog(parts) {
  const {log} = parts;
  const stays = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const before = parts.lines ?? new Map();
  parts.lines = new Map(live.log.map(line => [line, before.get(line) ?? lineOf(line)]));
  for (const [line, element] of before) if (!parts.lines.has(line)) element.remove();
  for (const [line, element] of parts.lines) if (!before.has(line)) log.append(element);
  if (stays) log.scrollTop = log.scrollHeight;
}

function lineOf(line) {
  return h('div', {class: line.level}, h('time', {datetime: line.time}, new Date(line.time).toLocaleTimeString()),
    ` ${line.level === 'information' ? '' : line.level + ' '}${visible(line.text)}`);
}
