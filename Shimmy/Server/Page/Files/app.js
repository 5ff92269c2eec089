// The frame of the page: views by the part of the address behind #, the theme, and whether the server is there.
import {h, icon} from './dom.js';
import {connection, serverIsUp} from './api.js';
import {startListening} from './live-data.js';
import * as chat from './chat.js';

const Views = [
  {id: 'chat', label: 'Chat', load: async () => chat},
  {id: 'models', label: 'Models', load: () => import('./models.js')},
  {id: 'workbench', label: 'Workbench', load: () => import('./workbench.js')},
  {id: 'live', label: 'Live', load: () => import('./live.js')},
];

const main = document.getElementById('main');
const nav = document.getElementById('nav');
let leave = null;
let shown = null;

for (const view of Views)
  nav.append(view.link = h('a', {href: '#' + view.id}, icon(view.id), h('span', null, view.label)));

async function show() {
  const [id, rest] = location.hash.slice(1).split('/');
  const view = Views.find(one => one.id === id) ?? Views[0];
  for (const one of Views) {
    if (one === view) one.link.setAttribute('aria-current', 'page');
    else one.link.removeAttribute('aria-current');
  }
  document.title = view.label + ' – Shimmy';
  if (shown === view) {
    view.module?.navigate?.(rest);
    return;
  }
  const moves = shown !== null;
  shown = view;
  view.module ??= await view.load();
  if (shown !== view) return;
  leave?.();
  main.replaceChildren();
  main.className = 'view-' + view.id;
  // A view may take the focus itself.
  if (moves) main.focus({preventScroll: true});
  leave = view.module.show(main, rest) ?? null;
}

const Themes = ['auto', 'light', 'dark'];
const theme = document.getElementById('theme');

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  const next = Themes[(Themes.indexOf(name) + 1) % Themes.length];
  theme.title = `Theme: ${name}; change to ${next}`;
  theme.setAttribute('aria-label', theme.title);
  theme.replaceChildren(icon({auto: 'auto', light: 'sun', dark: 'moon'}[name]));
  theme.onclick = () => {
    localStorage.setItem('shimmy.theme', next);
    setTheme(next);
  };
}

function showConnection() {
  const place = document.getElementById('connection');
  place.className = serverIsUp() ? 'connection' : 'connection down';
  place.textContent = serverIsUp() ? '' : 'Server not reachable, trying again';
}

const asked = localStorage.getItem('shimmy.theme');
setTheme(Themes.includes(asked) ? asked : 'auto');
connection.addEventListener('change', showConnection);
addEventListener('hashchange', show);
// Views by number, where no text is being written.
addEventListener('keydown', event => {
  if (!event.altKey || event.ctrlKey || event.metaKey || !/^Digit[1-4]$/.test(event.code)) return;
  event.preventDefault();
  location.hash = Views[event.code.slice(5) - 1].id;
});
// A file that is dropped beside its place would take the page's.
for (const name of ['dragover', 'drop']) addEventListener(name, event => event.preventDefault());
show();
startListening();
