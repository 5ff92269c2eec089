// The chat. Its conversation and a running answer live here, not in the view, so that an answer goes on while another view is shown.
import {h, icon, iconButton, button, announce, toast, download, reducedMotion, number} from './dom.js';
import {request, events, models, canChat, connection, serverIsUp} from './api.js';
import {live, progressOf} from './live-data.js';
import {AnswerView, userTurn, toolTurn} from './turns.js';
import {openSettings, requestFields, countSet} from './settings.js';
import * as store from './store.js';

const MostPixels = 1280;
const Prompts = ['Tell me a story about a cat.', 'What is Shimmy?', 'Explain what a token is, in two sentences.'];

let conversation = store.newConversation();
let run = null;
let view = null;
let modelList = [];
let modelName = localStorage.getItem('shimmy.model') ?? '';
let pending = [];
let draft = '';

export function show(main, id) {
  open(id ?? sessionStorage.getItem('shimmy.open'));
  view = build(main);
  renderAll();
  fillModels();
  renderList();
  // Where a finger points, a keyboard would cover half of the page.
  if (matchMedia('(pointer: fine)').matches) view.input.focus({preventScroll: true});
  const again = () => {
    renderState();
    if (serverIsUp()) fillModels(true);
  };
  const onModels = () => renderState();
  connection.addEventListener('change', again);
  live.addEventListener('models', onModels);
  return () => {
    draft = view.input.value;
    connection.removeEventListener('change', again);
    live.removeEventListener('models', onModels);
    view = null;
  };
}

export function navigate(id) {
  if (id === conversation.id || !id) return;
  open(id);
  renderAll();
  renderList();
}

function open(id) {
  if (!id || id === conversation.id) return;
  conversation = run?.conversation.id === id ? run.conversation : store.load(id) ?? conversation;
  if (conversation.leaf) sessionStorage.setItem('shimmy.open', conversation.id);
}

function build(main) {
  const parts = {};
  parts.search = h('input', {type: 'search', placeholder: 'Search conversations', 'aria-label': 'Search conversations', oninput: renderList});
  parts.list = h('ul', {class: 'conversations'});
  const file = h('input', {type: 'file', accept: 'application/json,.json', class: 'hidden', tabindex: '-1', 'aria-hidden': 'true', onchange: takeFile});
  parts.side = h('aside', {class: 'side', 'aria-label': 'Conversations', id: 'side'},
    h('div', {class: 'side-head'}, button([icon('plus'), 'New conversation'], startNew, {class: 'wide'}),
      iconButton('close', 'Close list', () => toggleSide(false), {class: 'icon narrow-only'})),
    parts.search, parts.list,
    h('div', {class: 'row side-foot'}, button([icon('down'), 'Export'], () => download('shimmy-conversations.json', store.exportAll()), {class: 'quiet'}),
      button([icon('up'), 'Import'], () => file.click(), {class: 'quiet'}), file));
  parts.model = h('select', {'aria-label': 'Model', class: 'model', onchange: () => chooseModel(parts.model.value)}, h('option', {value: ''}, 'Looking for models…'));
  parts.state = h('span', {class: 'model-state'});
  parts.settings = h('button', {type: 'button', class: 'icon', onclick: () => openSettings(renderSettings)});
  parts.toggle = iconButton('list', 'Conversations', () => toggleSide(), {class: 'icon narrow-only', 'aria-expanded': 'false', 'aria-controls': 'side'});
  parts.turns = h('div', {class: 'turns', role: 'log', 'aria-live': 'off', 'aria-label': 'Conversation', tabindex: '0'});
  parts.input = h('textarea', {rows: '1', placeholder: 'Write a message', 'aria-label': 'Message', dir: 'auto', value: draft, oninput: fit, onkeydown: onKey, onpaste: onPaste});
  parts.attach = iconButton('image', 'Add a picture', () => parts.file.click(), {hidden: true});
  parts.file = h('input', {type: 'file', accept: 'image/*', multiple: true, class: 'hidden', tabindex: '-1', 'aria-hidden': 'true', onchange: () => { addPictures(parts.file.files); parts.file.value = ''; }});
  parts.pictures = h('div', {class: 'pictures pending'});
  parts.send = h('button', {type: 'button', class: 'send', onclick: () => (run ? stop() : send())});
  parts.gauge = h('div', {class: 'gauge'});
  parts.jump = button([icon('down'), 'Newest'], () => scrollDown(true), {class: 'jump', hidden: true});
  const area = h('section', {class: 'chat', 'aria-label': 'Chat', ondragover: event => event.preventDefault(), ondrop: onDrop},
    h('h1', {class: 'hidden'}, 'Chat'), h('div', {class: 'chat-head'}, parts.toggle, parts.model, parts.state, h('span', {class: 'grow'}), parts.settings),
    parts.turns,
    h('div', {class: 'composer-area'}, parts.jump,
      h('div', {class: 'composer'}, parts.pictures, h('div', {class: 'composer-row'}, parts.attach, parts.file, parts.input, parts.send)),
      parts.gauge));
  parts.turns.addEventListener('scroll', () => { parts.jump.hidden = nearEnd(); }, {passive: true});
  area.addEventListener('pointerdown', event => {
    if (!parts.toggle.contains(event.target)) parts.side.classList.remove('shown');
  });
  main.append(parts.side, area);
  view = parts;
  fit();
  renderSettings();
  renderSend();
  renderPictures();
  return parts;
}

function toggleSide(shown = !view.side.classList.contains('shown')) {
  view.side.classList.toggle('shown', shown);
  view.toggle.setAttribute('aria-expanded', String(shown));
  (shown ? view.search : view.toggle).focus();
}

function startNew() {
  if (run) stop();
  conversation = store.newConversation();
  sessionStorage.removeItem('shimmy.open');
  history.replaceState(null, '', '#chat');
  renderAll();
  renderList();
  view.side.classList.remove('shown');
  view.input.focus();
}

function renderList() {
  if (!view) return;
  const found = store.list(view.search.value);
  view.list.replaceChildren(...found.map(one => h('li', {class: one.id === conversation.id ? 'current' : null},
    h('a', {
      href: '#chat/' + one.id, 'aria-current': one.id === conversation.id ? 'true' : null, dir: 'auto',
      onclick: () => view.side.classList.remove('shown'),
    }, one.title || 'Untitled'),
    iconButton('trash', 'Delete ' + (one.title || 'conversation'), () => removeOne(one.id)))));
  if (found.length === 0)
    view.list.append(h('li', {class: 'empty'}, view.search.value ? 'None has this text.' : 'Conversations are kept in this browser only.'));
}

function removeOne(id) {
  const kept = store.load(id);
  store.remove(id);
  if (id === conversation.id) startNew();
  renderList();
  announce('Deleted');
  if (!kept) return;
  const undo = button('Undo', () => {
    store.save(kept);
    renderList();
    undo.closest('.toast').remove();
  });
  toast('Conversation deleted.');
  document.querySelector('#toasts .toast:last-child span').after(undo);
}

async function takeFile(event) {
  const file = event.target.files[0];
  event.target.value = '';
  if (!file) return;
  try {
    toast(`${store.importAll(await file.text())} conversations imported.`);
  } catch (error) {
    toast('The file could not be imported: ' + error.message, true);
  }
  renderList();
}

async function fillModels(again = false) {
  try {
    modelList = (await models(again)).models;
  } catch (error) {
    if (view) showStart(error.message);
    return;
  }
  if (!view) return;
  const fit = modelList.filter(canChat);
  if (!fit.some(model => model.name === modelName))
    modelName = (fit.find(model => live.models.some(one => one.name === model.name)) ?? fit.find(model => model.name !== 'shimmy-demo') ?? fit[0])?.name ?? '';
  view.model.replaceChildren(...fit.map(model => h('option', {value: model.name, selected: model.name === modelName}, model.name)));
  view.model.disabled = fit.length === 0;
  if (fit.length === 0) view.model.append(h('option', null, 'No model'));
  renderState();
  if (!conversation.leaf) showStart();
}

function chooseModel(name) {
  modelName = name;
  localStorage.setItem('shimmy.model', name);
  renderState();
}

function model() {
  return modelList.find(one => one.name === modelName);
}

function renderState() {
  if (!view) return;
  const state = live.models.find(one => one.name === modelName);
  const {verb, share} = state ? progressOf(state) : {};
  const loading = `${verb} ${Math.round(share * 100)} %`;
  const text = {loading: loading.toLowerCase(), ready: 'in memory', waiting: 'waits for memory', draining: 'is being unloaded', unloading: 'is being unloaded'}[state?.status];
  view.state.textContent = !serverIsUp() ? '' : text ?? (modelName ? 'not loaded' : '');
  view.state.className = 'model-state ' + (state?.status ?? 'unloaded');
  view.attach.hidden = !model()?.capabilities.includes('vision');
  run?.view?.sayWaiting(state?.status === 'loading' ? verb + ` the model, ${Math.round(share * 100)} %`
    : state?.status === 'waiting' ? 'The model waits for memory' : state ? 'Reading the prompt' : '');
  renderGauge();
}

function renderSettings() {
  if (!view) return;
  const count = countSet();
  const label = count ? `Settings, ${count} set` : 'Settings';
  view.settings.replaceChildren(icon('gear'), count ? h('span', {class: 'count'}, String(count)) : '');
  view.settings.title = label;
  view.settings.setAttribute('aria-label', label);
}

function renderSend() {
  if (!view) return;
  view.send.replaceChildren(icon(run ? 'stop' : 'send'));
  view.send.title = run ? 'Stop (Escape)' : 'Send (Enter)';
  view.send.setAttribute('aria-label', run ? 'Stop' : 'Send');
  view.send.classList.toggle('stop', Boolean(run));
}

function renderGauge() {
  if (!view) return;
  const last = store.path(conversation).findLast(turn => turn.figures);
  const size = model()?.context_length ?? 0;
  const used = last ? (last.figures.prompt ?? 0) + (last.figures.completion ?? 0) : 0;
  if (!size || !used) {
    view.gauge.replaceChildren();
    return;
  }
  const share = Math.min(1, used / size);
  const fill = h('i');
  fill.style.width = (100 * share).toFixed(1) + '%';
  const text = `${number(used)} of ${number(size)} tokens of the context`;
  view.gauge.replaceChildren(h('div', {
    class: share > 0.9 ? 'meter full' : 'meter', role: 'meter', 'aria-label': 'Context used', 'aria-valuemin': 0, 'aria-valuemax': size,
    'aria-valuenow': used, 'aria-valuetext': text,
  }, fill), h('span', null, text));
}

const actions = {
  of: turn => ({
    ...actions,
    siblings: store.siblings(conversation, turn),
    show: other => { store.follow(conversation, other); store.save(conversation); renderAll(); },
  }),
  isLast: turn => conversation.leaf === turn.id,
  edit: (turn, text) => {
    if (run) stop();
    conversation.leaf = turn.parent;
    store.addTurn(conversation, {role: turn.role, text, pictures: turn.pictures, model: turn.model});
    store.save(conversation);
    renderAll();
    if (turn.role === 'user') answer();
  },
  again: turn => {
    if (run) stop();
    conversation.leaf = turn.parent;
    // What failed is no branch that anybody wants to go back to.
    if (turn.error && !turn.text && !Object.values(conversation.turns).some(one => one.parent === turn.id)) delete conversation.turns[turn.id];
    renderAll();
    answer();
  },
  results: (turn, texts) => {
    turn.calls.forEach((call, index) =>
      store.addTurn(conversation, {role: 'tool', text: texts[index], name: call.name, call: call.id}));
    renderAll();
    answer();
  },
};

function renderAll() {
  if (!view) return;
  const turns = store.path(conversation);
  view.turns.replaceChildren();
  if (turns.length === 0) showStart();
  for (const turn of turns) {
    if (run?.turn === turn && run.view) view.turns.append(run.view.element);
    else view.turns.append(elementOf(turn));
  }
  renderGauge();
  scrollDown(true);
}

function elementOf(turn) {
  return turn.role === 'user' ? userTurn(turn, actions.of(turn))
    : turn.role === 'tool' ? toolTurn(turn)
    : AnswerView.of(turn, actions.of(turn)).element;
}

function showStart(fault) {
  if (!view || conversation.leaf) return;
  const none = modelList.length > 0 && !modelList.some(canChat);
  view.turns.replaceChildren(h('div', {class: 'start'},
    h('img', {src: 'page/icon.svg', alt: '', width: '56', height: '56'}),
    h('h2', null, 'What shall we talk about?'),
    fault ? h('p', {class: 'fault'}, fault)
      : none ? h('p', null, 'No model that chats was found. ', h('a', {href: '#models'}, 'See what was found and why.'))
      : h('p', null, 'Everything stays on this machine: the models, and what you write.'),
    none || fault ? null : h('div', {class: 'prompts'}, Prompts.map(text => button(text, () => { view.input.value = text; send(); })))));
}

function nearEnd() {
  const {scrollHeight, scrollTop, clientHeight} = view.turns;
  return scrollHeight - scrollTop - clientHeight < 80;
}

function scrollDown(jump) {
  if (!view) return;
  view.turns.scrollTo({top: view.turns.scrollHeight, behavior: jump || reducedMotion() ? 'instant' : 'smooth'});
}

function fit() {
  const {input} = view;
  input.style.height = 'auto';
  input.style.height = Math.min(input.scrollHeight, 240) + 'px';
}

function onKey(event) {
  if (event.isComposing) return;
  if (event.key === 'Enter' && !event.shiftKey) {
    event.preventDefault();
    if (!run) send();
  } else if (event.key === 'ArrowUp' && view.input.value === '') {
    const mine = view.turns.querySelectorAll('.turn.user .turn-bar button[title^="Edit"]');
    if (mine.length) {
      event.preventDefault();
      mine[mine.length - 1].click();
    }
  }
}

addEventListener('keydown', event => {
  if (!view || document.querySelector('dialog[open]')) return;
  if (event.key === 'Escape' && view.side.classList.contains('shown')) {
    toggleSide(false);
  } else if (event.key === 'Escape' && run) {
    stop();
  } else if (event.altKey && !event.ctrlKey && event.code === 'KeyN') {
    event.preventDefault();
    startNew();
  }
});

function onPaste(event) {
  const files = [...event.clipboardData.files].filter(file => file.type.startsWith('image/'));
  if (files.length === 0) return;
  event.preventDefault();
  addPictures(files);
}

function onDrop(event) {
  event.preventDefault();
  addPictures(event.dataTransfer.files);
}

async function addPictures(files) {
  if (!model()?.capabilities.includes('vision')) {
    toast(`${modelName || 'The model'} does not support image input (vision).`, true);
    return;
  }
  for (const file of files) {
    try {
      pending.push(await shrunk(file));
    } catch {
      toast(`${file.name} is not a picture that the browser can read.`, true);
    }
  }
  renderPictures();
}

// Models see no more than this, and the browser's storage is small.
async function shrunk(file) {
  const picture = await createImageBitmap(file);
  const scale = Math.min(1, MostPixels / Math.max(picture.width, picture.height));
  const canvas = h('canvas', {width: Math.round(picture.width * scale), height: Math.round(picture.height * scale)});
  canvas.getContext('2d').drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  return canvas.toDataURL(file.type === 'image/png' && canvas.width * canvas.height < 250000 ? 'image/png' : 'image/jpeg', 0.88);
}

function renderPictures() {
  view?.pictures.replaceChildren(...pending.map((source, index) => h('div', null, h('img', {src: source, alt: `Picture ${index + 1} to send`}),
    iconButton('close', `Remove picture ${index + 1}`, () => { pending.splice(index, 1); renderPictures(); }))));
}

function send() {
  const text = view.input.value.trim();
  if ((text === '' && pending.length === 0) || !modelName) return;
  view.input.value = '';
  fit();
  store.addTurn(conversation, {role: 'user', text, ...(pending.length ? {pictures: pending} : {})});
  pending = [];
  renderPictures();
  store.save(conversation);
  history.replaceState(null, '', '#chat/' + conversation.id);
  sessionStorage.setItem('shimmy.open', conversation.id);
  renderAll();
  renderList();
  answer();
}

function stop() {
  run?.abort.abort();
}

// The conversation as OpenAI's dialect has it.
function messages(turns) {
  const {system} = store.settings();
  const result = system ? [{role: 'system', content: system}] : [];
  for (const turn of turns) {
    if (turn.role === 'tool') {
      result.push({role: 'tool', tool_call_id: turn.call, content: turn.text});
    } else if (turn.role === 'assistant') {
      if (!turn.text && !turn.calls?.length) continue;
      result.push({
        role: 'assistant', content: turn.text,
        ...(turn.calls?.length ? {tool_calls: turn.calls.map(call => ({id: call.id, type: 'function', function: {name: call.name, arguments: call.arguments}}))} : {}),
      });
    } else {
      result.push({
        role: 'user',
        content: turn.pictures?.length
          ? [...turn.pictures.map(url => ({type: 'image_url', image_url: {url}})), {type: 'text', text: turn.text}]
          : turn.text,
      });
    }
  }
  return result;
}

async function answer() {
  const turns = store.path(conversation);
  const turn = store.addTurn(conversation, {role: 'assistant', model: modelName});
  const mine = run = {turn, conversation, abort: new AbortController(), began: performance.now()};
  mine.view = new AnswerView(turn, actions.of(turn));
  mine.view.wait();
  view?.turns.append(mine.view.element);
  scrollDown(true);
  renderSend();
  renderState();
  announce('The model answers');
  try {
    const response = await request('v1/chat/completions', {
      signal: mine.abort.signal,
      body: {
        ...requestFields(), model: turn.model, messages: messages(turns), stream: true,
        stream_options: {include_usage: true}, timings_per_token: true,
      },
    });
    for await (const {data} of events(response)) take(mine, data);
  } catch (error) {
    if (error.name === 'AbortError') turn.stopped = true;
    else turn.error = error.message;
  }
  finish(mine);
}

function take(mine, data) {
  if (data === '[DONE]') return;
  const chunk = JSON.parse(data);
  const {turn} = mine;
  if (chunk.error) throw new Error(chunk.error.message);
  if (chunk.usage) {
    turn.figures = {
      ...turn.figures, prompt: chunk.usage.prompt_tokens, completion: chunk.usage.completion_tokens,
      cached: chunk.usage.prompt_tokens_details?.cached_tokens ?? 0,
    };
  }
  mine.timings = chunk.timings ?? mine.timings;
  const choice = chunk.choices?.[0];
  if (!choice) return;
  const {delta} = choice;
  turn.finish = choice.finish_reason ?? turn.finish;
  if (delta.reasoning_content || delta.content || delta.tool_calls) mine.first ??= performance.now() - mine.began;
  if (delta.reasoning_content) {
    turn.thinking = (turn.thinking ?? '') + delta.reasoning_content;
    turn.thinkingMs = Math.round(performance.now() - mine.began - mine.first);
    mine.view.addThinking(delta.reasoning_content);
  }
  if (delta.content) {
    turn.text += delta.content;
    mine.view.addText(delta.content);
  }
  for (const call of delta.tool_calls ?? []) {
    turn.calls ??= [];
    const known = turn.calls[call.index] ??= {id: call.id, name: '', arguments: ''};
    known.name += call.function?.name ?? '';
    known.arguments += call.function?.arguments ?? '';
    mine.view.begun();
  }
  schedule(mine);
}

// Once a frame, however many tokens came.
function schedule(mine) {
  if (mine.frame) return;
  mine.frame = requestAnimationFrame(() => {
    mine.frame = 0;
    if (run !== mine) return;
    const stays = view && nearEnd();
    mine.view.render();
    if (stays) scrollDown(true);
  });
}

function finish(mine) {
  const {turn} = mine;
  cancelAnimationFrame(mine.frame);
  if (mine.first !== undefined) turn.figures = {...turn.figures, first: Math.round(mine.first)};
  if (mine.timings) {
    turn.figures = {
      prompt: mine.timings.cache_n + mine.timings.prompt_n, cached: mine.timings.cache_n, completion: mine.timings.predicted_n,
      ...turn.figures, rate: mine.timings.predicted_per_second,
    };
  }
  if (run === mine) run = null;
  const stays = view && nearEnd();
  mine.view.actions = actions.of(turn);
  store.save(mine.conversation);
  mine.view.end();
  if (stays) scrollDown(true);
  renderSend();
  renderGauge();
  renderList();
  announce(turn.error ? 'The answer failed: ' + turn.error : turn.stopped ? 'Stopped' : 'The answer is complete');
}

addEventListener('pagehide', () => { if (run) store.save(run.conversation); });
