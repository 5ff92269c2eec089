// Markdown as nodes. Texts of a model are hostile until shown otherwise: no markup is made of strings, no address but http, https and
// mailto becomes a link, nothing is fetched, control characters are shown, and what is nested or long without end stays plain.
import {h, iconButton, copyText} from './dom.js';

const DeepestNesting = 12;
const LongestInline = 20000;
const LongestOpen = 8000;
const PlainPiece = 4000;
const MostShown = 200000;

const Controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]/g;

// Control characters become pictures of themselves; those that turn the direction of a line are left out, since each block has its own.
export function visible(text) {
  return text.replace(/\r\n?/g, '\n').replace(Controls, one => {
    const code = one.charCodeAt(0);
    return code < 32 ? String.fromCharCode(0x2400 + code) : code === 127 ? '\u2421' : code < 160 ? '\ufffd' : '';
  });
}

function safeAddress(text) {
  try {
    const url = new URL(text);
    return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

function link(address, content) {
  const href = safeAddress(address);
  return href ? h('a', {href, target: '_blank', rel: 'noopener noreferrer nofollow', title: href}, content) : h('span', null, content);
}

const Special = /[\\`*_~[!<]|https?:\/\//g;
const Escapable = '\\`*_{}[]()#+-.!~<>|"\'/:';

// The nodes of a line of text.
export function inline(text, depth = 0) {
  if (depth > DeepestNesting || text.length > LongestInline) return [text];
  const nodes = [];
  let plain = '';
  const put = node => {
    if (plain) nodes.push(plain);
    plain = '';
    nodes.push(node);
  };
  let at = 0;
  while (at < text.length) {
    Special.lastIndex = at;
    const found = Special.exec(text);
    if (!found) break;
    const start = found.index;
    plain += text.slice(at, start);
    const next = special(text, start, found[0], depth, put);
    if (next > start) {
      at = next;
    } else {
      plain += found[0][0];
      at = start + 1;
    }
  }
  plain += text.slice(at);
  if (plain) nodes.push(plain);
  return nodes;
}

// Puts what begins at a place and tells where it ends; the place itself where nothing begins.
function special(text, start, mark, depth, put) {
  switch (mark[0]) {
    case '\\':
      if (text[start + 1] === '\n') {
        put(h('br'));
        return start + 2;
      }
      if (start + 1 < text.length && Escapable.includes(text[start + 1])) {
        put(text[start + 1]);
        return start + 2;
      }
      return start;
    case '`': {
      const ticks = /`+/y;
      ticks.lastIndex = start;
      const fence = ticks.exec(text)[0];
      const end = text.indexOf(fence, start + fence.length);
      if (end < 0) {
        put(fence);
        return start + fence.length;
      }
      put(h('code', {dir: 'ltr'}, text.slice(start + fence.length, end).trim() || ' '));
      return end + fence.length;
    }
    case '*':
    case '_':
    case '~':
      return emphasis(text, start, depth, put);
    case '!':
      return text[start + 1] === '[' ? bracket(text, start + 1, depth, put, start) : start;
    case '[':
      return bracket(text, start, depth, put, start);
    case '<': {
      const end = text.indexOf('>', start);
      const inner = end < 0 || end - start > 2000 ? '' : text.slice(start + 1, end);
      if (/^br ?\/?$/i.test(inner)) {
        put(h('br'));
        return end + 1;
      }
      if (!/^(https?:|mailto:)\S+$/i.test(inner)) return start;
      put(link(inner, inner));
      return end + 1;
    }
    default: {
      const url = /https?:\/\/[^\s<>"`|]{1,2000}/y;
      url.lastIndex = start;
      const found = url.exec(text);
      if (!found) return start;
      const address = found[0].replace(/[.,;:!?'*_~)\]]+$/, end => end.startsWith(')') && found[0].includes('(') ? ')' : '');
      put(link(address, address));
      return start + address.length;
    }
  }
}

const Emphases = [['***', ['strong', 'em']], ['**', ['strong']], ['__', ['strong']], ['~~', ['del']], ['*', ['em']], ['_', ['em']]];

function emphasis(text, start, depth, put) {
  for (const [mark, tags] of Emphases) {
    if (!text.startsWith(mark, start)) continue;
    const inside = start + mark.length;
    if (inside >= text.length || /\s/.test(text[inside])) continue;
    const isWord = mark[0] === '_';
    if (isWord && /\w/.test(text[start - 1] ?? '')) continue;
    let end = inside;
    do end = text.indexOf(mark, end + 1);
    while (end > 0 && (/\s/.test(text[end - 1]) || (isWord && /\w/.test(text[end + mark.length] ?? ''))
      || (mark.length === 1 && text[end + 1] === mark && text[end - 1] !== mark && text[end + 2] !== mark && (end += 1))));
    if (end < 0) continue;
    let node = inline(text.slice(inside, end), depth + 1);
    for (const tag of [...tags].reverse()) node = [h(tag, null, node)];
    put(node[0]);
    return end + mark.length;
  }
  return start;
}

// [text](address), and pictures, of which the text alone is shown: nothing is fetched from elsewhere.
function bracket(text, open, depth, put, start) {
  let level = 0;
  let close = -1;
  for (let at = open; at < text.length && at < open + 2000; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '[') level++;
    else if (text[at] === ']' && --level === 0) {
      close = at;
      break;
    }
  }
  if (close < 0 || text[close + 1] !== '(') return start;
  const end = text.indexOf(')', close);
  if (end < 0 || end - close > 4000) return start;
  const depthOfParens = text.slice(close + 2, end).includes('(') && text[end + 1] === ')' ? end + 1 : end;
  const address = text.slice(close + 2, depthOfParens).trim().replace(/^<|>$/g, '').replace(/\s+["'(].*$/, '');
  const label = text.slice(open + 1, close);
  put(link(address, start === open ? inline(label, depth + 1) : ['🖼 ' + (label || address)]));
  return depthOfParens + 1;
}

const Fence = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const Heading = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const Rule = /^ {0,3}([-*_])(\s*\1){2,}\s*$/;
const Item = /^( *)([-*+]|\d{1,9}[.)])(\s+|$)(.*)$/;
const Quote = /^ {0,3}> ?(.*)$/;
const TableRule = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

export function codeBlock(text, language) {
  const code = h('code', null, text);
  const head = h('div', {class: 'code-head'}, h('span', null, language || 'text'),
    iconButton('copy', 'Copy code', event => copyText(code.textContent, event.currentTarget)));
  return h('div', {class: 'code', dir: 'ltr'}, head, h('pre', {tabindex: '0', 'aria-label': (language || 'text') + ' code'}, code));
}

// The nodes of whole blocks.
export function blocks(text, depth = 0) {
  if (depth > DeepestNesting) return [h('p', null, text)];
  const lines = text.split('\n');
  const nodes = [];
  let paragraph = [];
  // Inside a list or a quotation the whole of it has one direction, by its first letter.
  const dir = depth ? null : 'auto';
  const flush = () => {
    if (paragraph.length) nodes.push(h('p', {dir}, broken(paragraph)));
    paragraph = [];
  };
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at];
    const fence = Fence.exec(line);
    if (fence) {
      flush();
      let end = at + 1;
      while (end < lines.length && !(lines[end].trim().startsWith(fence[1]) && lines[end].trim().replaceAll(fence[1][0], '') === '')) end++;
      nodes.push(codeBlock(lines.slice(at + 1, end).join('\n'), fence[2].trim().split(/\s/)[0].slice(0, 40)));
      at = end;
      continue;
    }
    if (line.trim() === '') {
      flush();
      continue;
    }
    const heading = Heading.exec(line);
    if (heading) {
      flush();
      // The page's own headings are of the first two ranks.
      nodes.push(h('h' + Math.min(6, heading[1].length + 2), {dir}, inline(heading[2])));
      continue;
    }
    if (Rule.test(line)) {
      flush();
      nodes.push(h('hr'));
      continue;
    }
    if (Quote.test(line)) {
      flush();
      const inner = [];
      for (let quote; at < lines.length && (quote = Quote.exec(lines[at])); at++) inner.push(quote[1]);
      at--;
      nodes.push(h('blockquote', {dir}, blocks(inner.join('\n'), depth + 1)));
      continue;
    }
    if (Item.test(line) && (!paragraph.length || !/^\s*\d/.test(line) || /^\s*1[.)]/.test(line))) {
      flush();
      at = list(lines, at, depth, nodes);
      continue;
    }
    if (line.includes('|') && at + 1 < lines.length && lines[at + 1].includes('-') && TableRule.test(lines[at + 1])
      && cells(line).length === cells(lines[at + 1]).length) {
      flush();
      at = table(lines, at, nodes);
      continue;
    }
    paragraph.push(line);
  }
  flush();
  return nodes;
}

function broken(lines) {
  const nodes = [];
  lines.forEach((line, index) => {
    if (index) nodes.push(h('br'));
    nodes.push(...inline(line.trim()));
  });
  return nodes;
}

function list(lines, from, depth, nodes) {
  const first = Item.exec(lines[from]);
  const indent = first[1].length;
  const ordered = /\d/.test(first[2]);
  const items = [];
  let at = from;
  for (; at < lines.length; at++) {
    const item = Item.exec(lines[at]);
    if (item && item[1].length <= indent + 1 && item[1].length >= indent - 1) {
      if (/\d/.test(item[2]) !== ordered) break;
      items.push([item[4]]);
      continue;
    }
    const blank = lines[at].trim() === '';
    const inside = /^( *)/.exec(lines[at])[1].length > indent;
    if (blank && at + 1 < lines.length
      && (/^( *)/.exec(lines[at + 1])[1].length > indent || (Item.test(lines[at + 1]) && lines[at + 1].trim() !== ''))) items.at(-1).push('');
    else if (!blank && (inside || (!Heading.test(lines[at]) && !Fence.test(lines[at]) && !Quote.test(lines[at]) && !Rule.test(lines[at])
      && lines[at - 1].trim() !== ''))) items.at(-1).push(lines[at]);
    else break;
  }
  const start = ordered ? Number.parseInt(first[2], 10) : 1;
  nodes.push(h(ordered ? 'ol' : 'ul', {start: ordered && start !== 1 ? start : null, dir: depth ? null : 'auto'}, items.map(item => listItem(item, depth))));
  return at - 1;
}

function listItem(lines, depth) {
  const task = /^\[([ xX])\]\s+(.*)$/.exec(lines[0]);
  if (task) lines[0] = task[2];
  const margin = Math.min(...lines.slice(1).filter(line => line.trim()).map(line => /^( *)/.exec(line)[1].length), 8);
  const body = [lines[0], ...lines.slice(1).map(line => line.slice(Number.isFinite(margin) ? margin : 0))];
  const isPlain = body.length === 1;
  const content = isPlain ? inline(body[0]) : blocks(body.join('\n'), depth + 1);
  const box = task ? h('input', {type: 'checkbox', disabled: true, checked: task[1] !== ' ', 'aria-label': 'done'}) : null;
  return h('li', {class: task ? 'task' : null}, box, content);
}

function cells(line) {
  return line.trim().replace(/^\||\|$/g, '').split(/(?<!\\)\|/).map(cell => cell.trim().replaceAll('\\|', '|'));
}

function table(lines, at, nodes) {
  const sides = cells(lines[at + 1]).map(cell => (cell.startsWith(':') && cell.endsWith(':') ? 'at-center' : cell.endsWith(':') ? 'at-end' : null));
  const row = (line, tag) => {
    const own = cells(line);
    return h('tr', null, sides.map((side, index) => h(tag, {dir: 'auto', class: side}, inline(own[index] ?? ''))));
  };
  const head = h('thead', null, row(lines[at], 'th'));
  const body = h('tbody');
  for (at += 2; at < lines.length && lines[at].trim() !== '' && lines[at].includes('|'); at++) body.append(row(lines[at], 'td'));
  nodes.push(h('div', {class: 'table', tabindex: '0', role: 'region', 'aria-label': 'Table'}, h('table', null, head, body)));
  return at - 1;
}

// An answer while it comes: blocks that are whole are made once and never touched again; only the open one is made anew, once a frame.
export class MarkdownView {
  constructor() {
    this.element = h('div', {class: 'markdown'});
    this.tail = h('div', {class: 'tail'});
    this.element.append(this.tail);
    this.open = '';
    this.plain = null;
    this.code = null;
    this.shown = 0;
    this.rest = '';
  }

  append(text) {
    if (this.shown >= MostShown) {
      this.rest += text;
      return;
    }
    const taken = text.slice(0, MostShown - this.shown);
    this.shown += taken.length;
    this.rest = text.slice(taken.length);
    this.open += visible(taken);
    this.isDirty = true;
  }

  // Once a frame.
  render() {
    if (!this.isDirty) return;
    this.isDirty = false;
    this.settle();
    if (this.plain) this.growPlain();
    else if (this.open.length > LongestOpen && !this.code && !/(^|\n) {0,3}(```|~~~)/.test(this.open.slice(0, 200))) this.beginPlain();
    else if (!this.growCode()) this.tail.replaceChildren(...blocks(this.open));
  }

  finish() {
    this.isDirty = true;
    this.render();
    this.code = null;
    if (this.plain) this.plain = null;
    if (this.open) this.tail.replaceWith(...(this.tailIsPlain ? this.tail.childNodes : blocks(this.open)));
    this.tail.remove();
    this.open = '';
    if (this.rest) this.offerRest();
  }

  offerRest() {
    const rest = this.rest;
    const more = h('button', {
      type: 'button',
      onclick: () => {
        this.element.append(...pieces(visible(rest.slice(0, MostShown))));
        this.rest = rest.slice(MostShown);
        more.remove();
        if (this.rest) this.offerRest();
      },
    }, `Show more (${rest.length.toLocaleString('en')} characters left)`);
    this.element.append(more);
  }

  // Moves blocks that cannot change any more out of the open text.
  settle() {
    if (this.plain) return;
    const end = stableEnd(this.open);
    if (end <= 0) return;
    this.code = null;
    this.tail.before(...blocks(this.open.slice(0, end)));
    this.open = this.open.slice(end);
    this.tail.replaceChildren();
  }

  // An open fence: the text of the code grows in place.
  growCode() {
    const fence = /^ {0,3}(`{3,}|~{3,})\s*([^`\n]*)\n/.exec(this.open);
    if (!fence) return false;
    if (!this.code) {
      const block = codeBlock('', fence[2].trim().split(/\s/)[0].slice(0, 40));
      this.tail.replaceChildren(block);
      this.code = {text: block.querySelector('code').appendChild(document.createTextNode('')), length: 0, from: fence[0].length};
    }
    const body = this.open.slice(this.code.from + this.code.length);
    this.code.text.appendData(body);
    this.code.length += body.length;
    return true;
  }

  beginPlain() {
    this.tail.replaceChildren();
    this.tailIsPlain = true;
    this.plain = {done: 0};
    this.growPlain();
  }

  growPlain() {
    const {done} = this.plain;
    for (const node of pieces(this.open.slice(done))) this.tail.append(node);
    this.plain.done = this.open.length;
  }
}

// Pieces of their own, so that a browser lays out those alone that are seen.
function pieces(text) {
  const nodes = [];
  for (let at = 0; at < text.length; at += PlainPiece)
    nodes.push(h('div', {class: 'plain', dir: 'auto'}, text.slice(at, at + PlainPiece)));
  return nodes;
}

// Where the last block begins that may still change.
function stableEnd(text) {
  let end = 0;
  let fence = null;
  let inList = false;
  let from = 0;
  let blank = -1;
  for (let at = text.indexOf('\n'); at >= 0; from = at + 1, at = text.indexOf('\n', from)) {
    const line = text.slice(from, at);
    if (fence) {
      if (line.trim().startsWith(fence) && line.trim().replaceAll(fence[0], '') === '') {
        fence = null;
        if (!inList) end = at + 1;
      }
      continue;
    }
    const opens = Fence.exec(line);
    if (line.trim() === '') {
      blank = at + 1;
      continue;
    }
    const isItem = Item.test(line);
    if (blank === from || opens) {
      if (!(inList && (isItem || /^\s/.test(line)))) {
        end = from;
        inList = isItem;
      }
    } else if (isItem) {
      inList = true;
    }
    if (opens) fence = opens[1];
  }
  return end;
}

export function markdown(text) {
  const view = new MarkdownView();
  view.append(text);
  view.finish();
  return view.element;
}
