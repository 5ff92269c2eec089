// Conversations, in this browser's localStorage alone. A conversation is a tree of turns: an edit or a new answer is a branch beside the
// old one, and `leaf` is the end of the branch that is shown.
import {toast} from './dom.js';

const Prefix = 'shimmy.conversation.';
const HeadsName = 'shimmy.conversations';
const SettingsName = 'shimmy.settings';

export function newId() {
  return Date.now().toString(36) + Math.floor(Math.random() * 2 ** 32).toString(36);
}

export function newConversation() {
  return {id: newId(), title: '', at: Date.now(), leaf: null, turns: {}};
}

// Ids, titles and times of all conversations: one small text beside the large ones, made anew where it is missing.
function heads() {
  try {
    const known = JSON.parse(localStorage.getItem(HeadsName));
    if (Array.isArray(known)) return known;
  } catch {
    // Made anew.
  }
  return Object.keys(localStorage).filter(name => name.startsWith(Prefix)).map(name => load(name.slice(Prefix.length)))
    .filter(Boolean).map(({id, title, at}) => ({id, title, at}));
}

function setHeads(list) {
  localStorage.setItem(HeadsName, JSON.stringify(list));
}

// The heads of the conversations that say something, or of all, the newest first.
export function list(query = '') {
  const wanted = query.trim().toLowerCase();
  const says = one => Object.values(load(one.id)?.turns ?? {}).some(turn => (turn.text ?? '').toLowerCase().includes(wanted));
  return heads().filter(one => !wanted || one.title.toLowerCase().includes(wanted) || says(one)).sort((a, b) => b.at - a.at);
}

// Null where there is none, or what is there is none.
export function load(id) {
  try {
    const one = JSON.parse(localStorage.getItem(Prefix + id));
    return one && typeof one.turns === 'object' ? one : null;
  } catch {
    return null;
  }
}

let complained = false;

export function save(conversation) {
  if (!conversation.leaf) return;
  conversation.at = Date.now();
  try {
    localStorage.setItem(Prefix + conversation.id, JSON.stringify(conversation));
    const {id, title, at} = conversation;
    setHeads([{id, title, at}, ...heads().filter(one => one.id !== id)]);
    complained = false;
  } catch {
    if (!complained) toast('The browser has no room left for this conversation. Export or delete some; until then it is not kept.', true);
    complained = true;
  }
}

export function remove(id) {
  localStorage.removeItem(Prefix + id);
  setHeads(heads().filter(one => one.id !== id));
}

export function exportAll() {
  return JSON.stringify({shimmy: 1, conversations: list().map(one => load(one.id))}, null, 1);
}

// The number that was taken over. Throws where the file is none of ours.
export function importAll(text) {
  const file = JSON.parse(text);
  if (!Array.isArray(file.conversations)) throw new Error('The file holds no conversations.');
  let count = 0;
  for (const one of file.conversations) {
    if (typeof one?.turns !== 'object' || !one.turns[one.leaf]) continue;
    const turns = {};
    for (const [id, turn] of Object.entries(one.turns)) {
      if (['user', 'assistant', 'tool'].includes(turn?.role)) turns[id] = {...turn, text: String(turn.text ?? '')};
    }
    localStorage.setItem(Prefix + one.id, JSON.stringify({...one, id: String(one.id), title: String(one.title ?? ''), at: Number(one.at) || 0, turns}));
    count++;
  }
  localStorage.removeItem(HeadsName);
  setHeads(heads());
  return count;
}

// The turns of the shown branch, from the first.
export function path(conversation) {
  const turns = [];
  for (let turn = conversation.turns[conversation.leaf]; turn; turn = conversation.turns[turn.parent]) turns.unshift(turn);
  return turns;
}

export function siblings(conversation, turn) {
  return Object.values(conversation.turns).filter(one => one.parent === turn.parent && one.role === turn.role);
}

// Shows the branch through a turn: down to its newest end.
export function follow(conversation, turn) {
  let end = turn;
  for (;;) {
    const children = Object.values(conversation.turns).filter(one => one.parent === end.id);
    if (children.length === 0) break;
    end = children.at(-1);
  }
  conversation.leaf = end.id;
}

export function addTurn(conversation, turn) {
  const whole = {id: newId(), parent: conversation.leaf, at: Date.now(), text: '', ...turn};
  conversation.turns[whole.id] = whole;
  conversation.leaf = whole.id;
  if (!conversation.title && whole.role === 'user') conversation.title = whole.text.trim().split('\n')[0].slice(0, 80) || 'Picture';
  return whole;
}

export function settings() {
  try {
    return JSON.parse(localStorage.getItem(SettingsName)) ?? {};
  } catch {
    return {};
  }
}

export function saveSettings(values) {
  localStorage.setItem(SettingsName, JSON.stringify(values));
}
