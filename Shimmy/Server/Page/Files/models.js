// The models: what was found and where, what they need of the memory, and what was skipped and why.
import {h, icon, button, bytes, toast, announce, number} from './dom.js';
import {json, models} from './api.js';
import {live, progressOf} from './live-data.js';

let view = null;
let data = null;
let focused = null;
const busy = new Map();

export function show(main) {
  const parts = view = {bar: h('section', {class: 'card stack', 'aria-label': 'Memory'}), list: h('div', {class: 'list'}), skipped: h('div')};
  parts.search = h('input', {type: 'search', placeholder: 'Filter by name', 'aria-label': 'Filter models', oninput: renderList});
  parts.again = button([icon('again'), 'Look again'], discover);
  main.append(h('div', {class: 'page'}, h('div', {class: 'page-head'}, h('h1', null, 'Models'), parts.again), parts.bar, parts.search, parts.list, parts.skipped));
  const update = () => { renderBar(); renderList(); };
  live.addEventListener('models', update);
  read();
  return () => {
    live.removeEventListener('models', update);
    view = null;
  };
}

async function read(again = true) {
  try {
    data = await models(again);
    render();
  } catch (error) {
    view?.list.replaceChildren(h('div', {class: 'fault', role: 'alert'}, h('p', null, error.message), button('Try again', () => read())));
  }
}

function render() {
  if (!view) return;
  renderBar();
  renderList();
  const {skipped} = data;
  view.skipped.replaceChildren(skipped.length
    ? h('details', {class: 'card'}, h('summary', null, `${skipped.length} skipped`),
      h('ul', {class: 'skipped'}, skipped.map(one => h('li', null, h('code', null, one.path), h('div', {class: 'note'}, one.reason)))))
    : '');
}

async function discover() {
  view.again.disabled = true;
  try {
    await json('api/models/discover', {method: 'POST'});
    await read();
    announce('Looked for models again');
  } catch (error) {
    toast(error.message, true);
  }
  if (view) view.again.disabled = false;
}

function residentOf(name) {
  return live.models.find(one => one.name === name);
}

// Budget, what is resident, and what a load would need of it.
function renderBar() {
  if (!view || !data) return;
  const resident = live.models.filter(one => one.memory_bytes > 0);
  const used = resident.reduce((sum, one) => sum + one.memory_bytes, 0);
  const budget = data.memory.budget_bytes ?? 0;
  const would = focused && !residentOf(focused.name) ? focused.needs : 0;
  const whole = Math.max(budget, used + would, 1);
  const part = (share, kind, title) => {
    const element = h('div', {class: 'bar-part ' + kind, title});
    element.style.width = (100 * share / whole).toFixed(2) + '%';
    return element;
  };
  const isOver = budget > 0 && used + would > budget;
  const says = `${bytes(used)} resident` + (budget ? ` of a budget of ${bytes(budget)}` : '') + (would ? `, ${focused.name} would need ${bytes(would)}` : '');
  view.bar.replaceChildren(
    h('div', {class: 'memory-bar', role: 'img', 'aria-label': says},
      resident.map(one => part(one.memory_bytes, one.pinned ? 'pinned' : 'used', `${one.name}: ${bytes(one.memory_bytes)}`)),
      would ? part(would, isOver ? 'would over' : 'would', `${focused.name} would need ${bytes(would)}`) : null),
    h('div', {class: 'legend'}, h('span', null, 'Resident ', h('b', null, bytes(used))), h('span', null, 'Budget ', h('b', null, budget ? bytes(budget) : 'no limit')),
      would ? h('span', null, `${focused.name} would need `, h('b', null, bytes(would)),
        isOver ? (would > budget ? ', more than the budget' : ', more than is free: idle models make room') : '') : null));
}

function renderList() {
  if (!view || !data) return;
  const wanted = view.search.value.trim().toLowerCase();
  const found = data.models.filter(model => model.name.toLowerCase().includes(wanted));
  const order = model => (residentOf(model.name) ? 0 : model.ready ? 1 : 2);
  found.sort((a, b) => order(a) - order(b));
  const had = document.activeElement?.dataset?.action;
  view.list.replaceChildren(...found.map(card));
  if (had) view.list.querySelector(`[data-action="${CSS.escape(had)}"]`)?.focus();
  if (found.length === 0)
    view.list.append(h('div', {class: 'card'}, h('p', null, wanted ? 'No model has this in its name.'
      : 'No models were found. Put a GGUF file into ./models, or name a folder with --model-dirs.')));
}

const StateTexts = {ready: 'In memory', waiting: 'Waits for memory', draining: 'Lets its requests end', unloading: 'Is being unloaded'};

function card(model) {
  const state = residentOf(model.name);
  const status = state?.status;
  const act = (name, label, run, props) => button(label, run, {'data-action': `${name} ${model.name}`, disabled: busy.has(model.name) && name !== 'unload', ...props});
  const actions = !model.ready ? []
    : status === 'ready' ? [
      act('pin', [icon('pin'), state.pinned ? 'Unpin' : 'Pin'], () => change(model, 'load', {pinned: !state.pinned}, state.pinned ? 'Unpinned' : 'Pinned'),
        {'aria-pressed': String(state.pinned), title: state.pinned ? 'Let it go when idle or when memory is needed' : 'Keep it in memory'}),
      act('unload', 'Unload', () => change(model, 'unload', undefined, 'Unloaded'))]
    : status ? [act('unload', status === 'loading' || status === 'waiting' ? 'Cancel' : 'Unload', () => change(model, 'unload', undefined, 'Unloaded'))]
    : [act('load', 'Load', () => change(model, 'load', {}, 'Loaded'), {class: 'primary', onfocus: () => look(model), onmouseenter: () => look(model)})];
  const facts = [model.quantization, model.parameter_count ? count(model.parameter_count) + ' parameters' : null, model.architecture,
    bytes(model.size_bytes), model.format === 'safetensors' ? 'SafeTensors' : null, model.context_length ? number(model.context_length) + ' tokens' : null, ...model.capabilities];
  const progress = h('i');
  const {verb, share} = state ? progressOf(state) : {};
  progress.style.width = Math.round((share ?? 0) * 100) + '%';
  const refusal = busy.get('refusal ' + model.name);
  return h('article', {class: 'card model-card', 'aria-label': model.name},
    h('div', {class: 'stack'}, h('h2', null, model.name),
      h('div', {class: 'facts'}, status ? h('span', {class: 'state ' + status}, (status === 'loading' ? verb : StateTexts[status]) + (state.pinned ? ', pinned' : '')) : null,
        facts.filter(fact => fact && fact !== 'unknown').map(fact => h('span', {class: 'tag'}, fact)))),
    h('div', {class: 'actions'}, actions),
    status === 'loading' ? h('div', {
      class: 'progress whole', role: 'progressbar', 'aria-label': `${verb} ${model.name}`, 'aria-valuenow': Math.round(share * 100), 'aria-valuemin': 0, 'aria-valuemax': 100,
    }, progress) : null,
    status === 'ready' ? h('div', {class: 'legend whole'}, h('span', null, 'Memory ', h('b', null, bytes(state.memory_bytes))),
      state.requests_active ? h('span', null, 'Requests ', h('b', null, String(state.requests_active))) : null,
      state.expires_at ? h('span', null, 'Leaves ', h('b', null, new Date(state.expires_at).toLocaleTimeString()), ' unless it is used') : null) : null,
    model.ready ? null : h('p', {class: 'fault whole'}, model.why_not_ready),
    refusal ? h('div', {class: 'fault whole', role: 'alert'}, h('p', null, refusal)) : null,
    h('div', {class: 'path whole'}, model.origin ? `${model.origin}: ` : '', model.path));
}

function count(value) {
  return value >= 1e9 ? (value / 1e9).toFixed(1) + ' B' : value >= 1e6 ? (value / 1e6).toFixed(1) + ' M' : number(value);
}

function pathOf(model, what) {
  return `api/models/${model.name.split('/').map(encodeURIComponent).join('/')}/${what}`;
}

const needs = new Map();

// Before a load is begun: what it would need.
async function look(model) {
  if (focused?.name === model.name) return;
  focused = {name: model.name, needs: needs.get(model.name) ?? 0};
  if (!needs.has(model.name)) {
    try {
      const {needs_bytes} = await json(pathOf(model, 'status'), {quiet: true});
      needs.set(model.name, needs_bytes ?? 0);
    } catch {
      return;
    }
  }
  if (focused.name !== model.name) return;
  focused.needs = needs.get(model.name);
  renderBar();
}

// What the server refuses, it says in its own words at the model.
async function change(model, what, body, done) {
  busy.set(model.name, true);
  busy.delete('refusal ' + model.name);
  renderList();
  try {
    await json(pathOf(model, what), {method: 'POST', ...(body === undefined ? {} : {body})});
    announce(`${done}: ${model.name}`);
  } catch (error) {
    busy.set('refusal ' + model.name, error.message);
  }
  busy.delete(model.name);
  needs.delete(model.name);
  renderList();
  renderBar();
}
