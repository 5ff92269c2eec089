// The workbench: what a model makes of a text before and beside its answer.
import {h, field, number, milliseconds} from './dom.js';
import {json, request, events, models, canChat} from './api.js';
import {MarkdownView, visible} from './markdown.js';

const Tools = [
  ['tokens', 'Tokens', tokensPanel], ['prompt', 'Prompt', promptPanel], ['probabilities', 'Probabilities', probabilitiesPanel],
  ['compare', 'Compare', comparePanel], ['embeddings', 'Embeddings', embeddingsPanel], ['rerank', 'Rerank', rerankPanel],
];

let chosen = 'tokens';
// What was made in a tool stays while the page does.
const panels = new Map();

export function show(main, id) {
  if (Tools.some(([name]) => name === id)) chosen = id;
  const place = h('div', {class: 'panel', role: 'tabpanel', id: 'tool', tabindex: '-1'});
  const tabs = Tools.map(([name, label]) => h('button', {type: 'button', role: 'tab', id: 'tab-' + name, 'aria-controls': 'tool', onclick: () => choose(name)}, label));
  const strip = h('div', {
    class: 'tabs', role: 'tablist', 'aria-label': 'Tools',
    onkeydown: event => {
      const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
      if (!step) return;
      const at = Tools.findIndex(([name]) => name === chosen);
      choose(Tools[(at + step + Tools.length) % Tools.length][0]);
      tabs[Tools.findIndex(([name]) => name === chosen)].focus();
    },
  }, tabs);
  main.append(h('div', {class: 'page'}, h('div', {class: 'page-head'}, h('h1', null, 'Workbench')), strip, place));

  function choose(name) {
    chosen = name;
    Tools.forEach(([one], index) => {
      tabs[index].setAttribute('aria-selected', String(one === name));
      tabs[index].tabIndex = one === name ? 0 : -1;
    });
    place.setAttribute('aria-labelledby', 'tab-' + name);
    if (!panels.has(name)) panels.set(name, Tools.find(([one]) => one === name)[2]());
    place.replaceChildren(panels.get(name));
  }
  choose(chosen);
}

function modelSelect(fits = canChat, label = 'Model') {
  const select = h('select');
  models().then(({models: all}) => {
    const fitting = all.filter(fits);
    select.replaceChildren(...fitting.map(model => h('option', null, model.name)));
    if (fitting.length === 0) select.append(h('option', {value: ''}, 'No such model was found'));
    const last = localStorage.getItem('shimmy.model');
    if (fitting.some(model => model.name === last)) select.value = last;
  }, () => {});
  return {select, element: field(label, select)};
}

function textArea(value, rows = 6) {
  return h('textarea', {rows, value, dir: 'auto', spellcheck: 'false'});
}

// A form that shows what its work gives, or why it gave nothing.
function tool(fields, label, work) {
  const result = h('div', {class: 'panel', 'aria-live': 'polite'});
  const go = h('button', {type: 'submit', class: 'primary'}, label);
  let abort = null;
  return h('div', {class: 'panel'}, h('form', {
    class: 'card stack',
    onsubmit: async event => {
      event.preventDefault();
      if (abort) {
        abort.abort();
        return;
      }
      abort = new AbortController();
      go.textContent = 'Stop';
      try {
        await work(nodes => result.replaceChildren(...[nodes].flat()), abort.signal);
      } catch (error) {
        if (error.name !== 'AbortError') result.replaceChildren(h('div', {class: 'fault', role: 'alert'}, h('p', null, error.message)));
      }
      abort = null;
      go.textContent = label;
    },
    onkeydown: event => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) event.currentTarget.requestSubmit(); },
  }, fields, h('div', {class: 'row end'}, go)), result);
}

const MostTokens = 4000;

function pieceOf(token) {
  return typeof token.piece === 'string' ? visible(token.piece).replaceAll('\n', '⏎\n') : `⟨${token.piece.map(byte => byte.toString(16).padStart(2, '0')).join(' ')}⟩`;
}

function tokenSpans(tokens) {
  return h('div', {class: 'tokens', tabindex: '0', role: 'region', 'aria-label': 'Tokens'},
    tokens.slice(0, MostTokens).map(token => h('span', {class: 'token', title: `${token.id}`}, pieceOf(token) || '∅')),
    tokens.length > MostTokens ? ` … and ${number(tokens.length - MostTokens)} more` : null);
}

function tokensPanel() {
  const {select, element} = modelSelect(model => model.ready);
  const text = textArea('Shimmy turns text into tokens. Каждый язык иначе: 文字も。');
  const special = h('input', {type: 'checkbox', id: 'parse-special', checked: true});
  return tool([element, field('Text', text), h('div', {class: 'row'}, special, h('label', {for: special.id}, 'Read special tokens as such'))], 'Tokenize',
    async (put, signal) => {
      const {tokens} = await json('tokenize', {body: {model: select.value, content: text.value, with_pieces: true, parse_special: special.checked}, signal});
      const length = [...text.value].length;
      put(h('section', {class: 'card stack', 'aria-label': 'Result'},
        h('h2', null, `${number(tokens.length)} tokens`, h('small', null, tokens.length ? ` · ${(length / tokens.length).toFixed(2)} characters each` : '')),
        tokenSpans(tokens),
        h('details', null, h('summary', null, 'Ids'), h('code', null, tokens.slice(0, MostTokens).map(token => token.id).join(' ')))));
    });
}

function promptPanel() {
  const {select, element} = modelSelect();
  const system = h('input', {type: 'text', value: 'You are a helpful assistant.', dir: 'auto'});
  const turns = textArea('What is a token?\n---\nA piece of a text.\n---\nAnd a prompt?');
  return tool([element, field('System message', system), field('Conversation', turns, 'Turns of user and assistant in turn, with a line of --- between two.')], 'Render',
    async (put, signal) => {
      const parts = turns.value.split(/^---$/m).map(part => part.trim());
      const messages = parts.map((content, index) => ({role: index % 2 ? 'assistant' : 'user', content}));
      if (system.value) messages.unshift({role: 'system', content: system.value});
      const [rendered, tokenized] = await Promise.all([
        json('apply-template', {body: {model: select.value, messages}, signal}),
        json('tokenize', {body: {model: select.value, messages, with_pieces: true}, signal})]);
      put(h('div', {class: 'split'},
        h('section', {class: 'card stack', 'aria-label': 'Conversation'}, h('h2', null, 'Conversation'),
          messages.map(message => h('div', null, h('small', null, message.role), h('div', {dir: 'auto', class: 'said'}, visible(message.content))))),
        h('section', {class: 'card stack', 'aria-label': 'Rendered prompt'}, h('h2', null, `Prompt, ${number(tokenized.tokens.length)} tokens`),
          h('pre', {class: 'prompt-text', tabindex: '0'}, visible(rendered.prompt)),
          h('p', {class: 'note'}, `Template: ${rendered.template}. Ends at: ${rendered.stop.map(stop => JSON.stringify(stop)).join(', ') || 'the end token'}`),
          tokenSpans(tokenized.tokens))));
    });
}

// From red over yellow to green, as mixed into the ground of either scheme.
function shade(share) {
  return `color-mix(in oklab, hsl(${Math.round(120 * share)} 75% 45%) 38%, transparent)`;
}

function probabilitiesPanel() {
  const {select, element} = modelSelect();
  const text = textArea('Tell me a story about the sea.', 3);
  const most = h('input', {type: 'number', min: 1, max: 500, value: 60});
  const temperature = h('input', {type: 'number', min: 0, max: 10, step: 'any', value: 0.8});
  return tool([element, field('Message', text), h('div', {class: 'fields'}, field('Most tokens', most), field('Temperature', temperature))], 'Generate',
    async (put, signal) => {
      const answer = await json('v1/chat/completions', {
        signal,
        body: {
          model: select.value, messages: [{role: 'user', content: text.value}], max_tokens: Number(most.value), temperature: Number(temperature.value),
          logprobs: true, top_logprobs: 8,
        },
      });
      const tokens = answer.choices[0].logprobs?.content ?? [];
      const detail = h('div', {class: 'stack'}, h('p', {class: 'note'}, 'Choose a token to see what stood beside it.'));
      const spans = tokens.map(token => {
        const share = Math.exp(token.logprob);
        const span = h('button', {type: 'button', class: 'prob', title: percent(share), 'aria-pressed': 'false', onclick: () => pick(token, span)}, visible(token.token).replaceAll('\n', '⏎\n') || '∅');
        span.style.background = shade(share);
        return span;
      });
      const pick = (token, span) => {
        for (const one of spans) one.setAttribute('aria-pressed', String(one === span));
        detail.replaceChildren(alternatives(token));
      };
      const mean = tokens.length ? Math.exp(-tokens.reduce((sum, token) => sum + token.logprob, 0) / tokens.length) : 0;
      put(h('div', {class: 'split'},
        h('section', {class: 'card stack', 'aria-label': 'Answer'}, h('h2', null, `${tokens.length} tokens`, h('small', null, ` · perplexity ${mean.toFixed(2)}`)), h('div', {class: 'probs'}, spans)),
        h('section', {class: 'card stack', 'aria-label': 'Alternatives'}, h('h2', null, 'Alternatives'), detail)));
    });
}

function percent(share) {
  return share >= 0.1 ? (100 * share).toFixed(0) + ' %' : (100 * share).toPrecision(2) + ' %';
}

function bar(share) {
  const fill = h('i');
  fill.style.width = (100 * Math.min(1, Math.max(0, share))).toFixed(1) + '%';
  return h('div', {class: 'meter', 'aria-hidden': 'true'}, fill);
}

function alternatives(token) {
  const all = token.top_logprobs.some(one => one.token === token.token) ? token.top_logprobs : [...token.top_logprobs, token];
  return h('div', {class: 'alternatives'}, all.flatMap(one => [h('code', null, JSON.stringify(one.token), one.token === token.token ? ' ✓' : ''), bar(Math.exp(one.logprob)), percent(Math.exp(one.logprob))]));
}

function comparePanel() {
  const text = textArea('Tell me a story about a cat.', 3);
  const sides = ['Left', 'Right'].map((label, index) => {
    const {select, element} = modelSelect(canChat, `${label} model`);
    const temperature = h('input', {type: 'number', min: 0, max: 10, step: 'any', value: index ? 1.2 : 0.2});
    const seed = h('input', {type: 'number', min: 0, step: 1, value: 1});
    return {select, temperature, seed, element: h('fieldset', {class: 'card stack'}, h('legend', null, label), element, h('div', {class: 'fields'}, field('Temperature', temperature), field('Seed', seed)))};
  });
  return tool([field('Message', text), h('div', {class: 'split'}, sides.map(side => side.element))], 'Compare', async (put, signal) => {
    const views = sides.map(() => ({text: new MarkdownView(), figures: h('p', {class: 'note'})}));
    put(h('div', {class: 'split'}, views.map((view, index) =>
      h('section', {class: 'card stack', 'aria-label': index ? 'Right answer' : 'Left answer'},
        h('h2', null, `${sides[index].select.value}, temperature ${sides[index].temperature.value}`), view.text.element, view.figures))));
    await Promise.all(sides.map((side, index) => answer(side, text.value, views[index], signal)));
  });
}

async function answer({select, temperature, seed}, content, view, signal) {
  const began = performance.now();
  let first = null;
  let timings = null;
  try {
    const response = await request('v1/chat/completions', {
      signal,
      body: {
        model: select.value, messages: [{role: 'user', content}], stream: true, timings_per_token: true, max_tokens: 400,
        temperature: Number(temperature.value), ...(seed.value === '' ? {} : {seed: Number(seed.value)}),
      },
    });
    let frame = 0;
    for await (const {data} of events(response)) {
      if (data === '[DONE]') continue;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      timings = chunk.timings ?? timings;
      const delta = chunk.choices?.[0]?.delta;
      const piece = delta?.content ?? delta?.reasoning_content;
      if (!piece) continue;
      first ??= performance.now() - began;
      view.text.append(piece);
      frame ||= requestAnimationFrame(() => { frame = 0; view.text.render(); });
    }
    cancelAnimationFrame(frame);
  } catch (error) {
    if (error.name !== 'AbortError') view.figures.replaceChildren(h('span', {class: 'fault'}, error.message));
  }
  view.text.finish();
  if (timings)
    view.figures.textContent = `${number(timings.predicted_n)} tokens · ${number(timings.predicted_per_second, 1)} tok/s · first after ${milliseconds(first)}`;
}

const isEmbedder = model => model.ready && model.capabilities.includes('embedding');
const isRanker = model => model.ready && model.capabilities.includes('rerank');

function embeddingsPanel() {
  const {select, element} = modelSelect(model => isEmbedder(model) || canChat(model));
  const text = textArea('The cat sleeps on the sofa.\nA kitten naps on the couch.\nThe stock market fell today.\nShares lost value.');
  return tool([element, field('Texts', text, 'One a line, at most 24.')], 'Compare', async (put, signal) => {
    const texts = text.value.split('\n').map(line => line.trim()).filter(Boolean).slice(0, 24);
    const {data} = await json('v1/embeddings', {body: {model: select.value, input: texts}, signal});
    const vectors = data.map(one => one.embedding);
    const length = vector => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
    const lengths = vectors.map(length);
    const likeness = (a, b) => vectors[a].reduce((sum, value, at) => sum + value * vectors[b][at], 0) / (lengths[a] * lengths[b] || 1);
    const cell = (row, column) => {
      const value = likeness(row, column);
      const td = h('td', {class: 'cell', title: `${texts[row]} / ${texts[column]}`}, value.toFixed(2));
      td.style.background = `color-mix(in oklab, var(--accent-ground) ${Math.round(70 * Math.max(0, value))}%, transparent)`;
      td.style.color = value > 0.75 ? '#fff' : '';
      return td;
    };
    put(h('section', {class: 'card stack', 'aria-label': 'Likeness'}, h('h2', null, 'Likeness', h('small', null, ` · cosine, ${vectors[0].length} dimensions`)),
      h('div', {class: 'table', tabindex: '0', role: 'region', 'aria-label': 'Heat map'}, h('table', {class: 'heat'},
        h('thead', null, h('tr', null, h('td'), texts.map((_, index) => h('th', {scope: 'col'}, String(index + 1))))),
        h('tbody', null, texts.map((one, row) => h('tr', null, h('th', {scope: 'row', title: one, dir: 'auto'}, `${row + 1}. ${one.slice(0, 30)}`), texts.map((_, column) => cell(row, column)))))))));
  });
}

function rerankPanel() {
  const {select, element} = modelSelect(isRanker);
  const query = h('input', {type: 'text', value: 'Where does the cat sleep?', dir: 'auto'});
  const text = textArea('The cat sleeps on the sofa.\nThe stock market fell today.\nDogs like to run.');
  return tool([element, field('Query', query), field('Documents', text, 'One a line.')], 'Rank', async (put, signal) => {
    const documents = text.value.split('\n').map(line => line.trim()).filter(Boolean);
    const {results} = await json('v1/rerank', {body: {model: select.value, query: query.value, documents}, signal});
    const scores = results.map(one => one.relevance_score);
    const [low, high] = [Math.min(...scores), Math.max(...scores)];
    put(h('section', {class: 'card stack', 'aria-label': 'Ranking'}, h('h2', null, 'Ranking'),
      h('ol', {class: 'ranked'}, results.map((one, place) => h('li', null, h('b', null, `${place + 1}.`), h('span', {dir: 'auto'}, documents[one.index]), h('span', null, one.relevance_score.toFixed(3)),
        bar(high > low ? (one.relevance_score - low) / (high - low) : 1))))));
  });
}

