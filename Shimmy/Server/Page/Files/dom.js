// Building blocks of the page. Every text becomes a text node: nothing here or elsewhere makes markup of a string.

// An element: h('a', {class: 'x', href, onclick}, 'text', node, [more], null).
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'class') element.className = value;
    else if (name === 'value' || name === 'checked' || name === 'disabled' || name === 'selected' || name === 'open' || name === 'hidden') element[name] = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) add(element, child);
    else element.append(child);
  }
}

const SvgSpace = 'http://www.w3.org/2000/svg';

export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SvgSpace, tag);
  for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

// Line drawings on a field of 24 by 24, our own.
const Paths = {
  chat: 'M4 5h16v11H9l-5 4z',
  models: 'M4 7l8-4 8 4-8 4zM4 12l8 4 8-4M4 17l8 4 8-4',
  workbench: 'M5 4h14M9 4v6l-5 9h16l-5-9V4M7 15h10',
  live: 'M3 12h4l3-8 4 16 3-8h4',
  send: 'M12 20V5M5 12l7-7 7 7',
  stop: 'M7 7h10v10H7z',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  edit: 'M4 20l1-5L16 4l4 4L9 19zM13 7l4 4',
  again: 'M20 11a8 8 0 1 0-2 6M20 5v6h-6',
  left: 'M15 5l-7 7 7 7',
  right: 'M9 5l7 7-7 7',
  plus: 'M12 5v14M5 12h14',
  trash: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5',
  gear: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 4v6M9 14v6',
  image: 'M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9h.01',
  list: 'M4 6h16M4 12h16M4 18h10',
  close: 'M6 6l12 12M18 6L6 18',
  pin: 'M9 4h6l-1 7 3 3H7l3-3zM12 14v6',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 3v1M12 20v1M3 12h1M20 12h1M5.600 5.600l.7.7M17.700 17.700l.7.7M5.600 18.400l.7-.7M17.700 6.300l.7-.7',
  moon: 'M19 14A8 8 0 0 1 10 4a8 8 0 1 0 9 10z',
  auto: 'M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16',
  check: 'M5 13l4 4L19 7',
  down: 'M12 4v12M6 11l6 6 6-6M5 20h14',
  up: 'M12 16V4M6 9l6-6 6 6M5 20h14',
};

export function icon(name) {
  return svg('svg', {viewBox: '0 0 24 24', class: 'icon-drawing', 'aria-hidden': 'true', focusable: 'false'},
    svg('path', {d: Paths[name]}));
}

// A button with a drawing and a name that screen readers say and a pointer shows.
export function iconButton(name, label, onclick, props) {
  return h('button', {type: 'button', class: 'icon', title: label, 'aria-label': label, onclick, ...props}, icon(name));
}

export function button(label, onclick, props) {
  return h('button', {type: 'button', onclick, ...props}, label);
}

export function announce(text) {
  document.getElementById('announce').textContent = text;
}

// A message that goes by itself, or a fault, which stays until it is closed.
export function toast(text, fault = false) {
  const box = h('div', {class: fault ? 'toast fault' : 'toast'}, h('span', null, text),
    iconButton('close', 'Close message', () => box.remove()));
  document.getElementById('toasts').append(box);
  if (!fault) setTimeout(() => box.remove(), 4000);
}

export async function copyText(text, from) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS a page of another machine has no clipboard of its own.
    const area = h('textarea', {class: 'hidden', value: text});
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  announce('Copied');
  if (!from) return;
  from.classList.add('done');
  setTimeout(() => from.classList.remove('done'), 1200);
}

export function field(label, control, hint) {
  const id = control.id ||= 'f' + (++field.count);
  const note = hint ? h('small', {id: id + 'n'}, hint) : null;
  if (note) control.setAttribute('aria-describedby', note.id);
  return h('div', {class: 'field'}, h('label', {for: id}, label), control, note);
}
field.count = 0;

// A dialog that is there while it is open. Escape closes it, as browsers have it.
export function openDialog(title, content, props) {
  const dialog = h('dialog', {'aria-label': title, ...props},
    h('div', {class: 'dialog-head'}, h('h2', null, title), iconButton('close', 'Close', () => dialog.close())), content);
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('mousedown', event => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

export function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], {type: 'application/json'}));
  h('a', {href: url, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

export function bytes(count) {
  if (!(count > 0)) return '0 MB';
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  const at = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(count) / 10)));
  const value = count / 2 ** (10 * at);
  return (value >= 100 || at === 0 ? Math.round(value) : value.toFixed(1)) + ' ' + units[at];
}

export function number(value, digits = 0) {
  return value.toLocaleString('en', {maximumFractionDigits: digits});
}

export function milliseconds(value) {
  if (value === null || value === undefined) return '–';
  return value < 1 ? '<1 ms' : value < 1000 ? Math.round(value) + ' ms' : value < 60000 ? (value / 1000).toFixed(1) + ' s'
    : Math.floor(value / 60000) + ' min ' + Math.round(value % 60000 / 1000) + ' s';
}

export function reducedMotion() {
  return matchMedia('(prefers-reduced-motion: reduce)').matches;
}
