// Turns of a conversation as elements: what the user wrote, what the model answered with its thoughts, calls and figures.
import {h, icon, iconButton, button, copyText, milliseconds, number} from './dom.js';
import {MarkdownView, visible} from './markdown.js';

// The figures of an answer, as one line.
export function figuresText(figures) {
  if (!figures) return [];
  const parts = [];
  if (figures.completion !== undefined) parts.push([`${number(figures.completion)} tokens`, 'Tokens of the answer']);
  if (figures.rate > 0) parts.push([`${number(figures.rate, 1)} tok/s`, 'Tokens per second after the first']);
  if (figures.first !== undefined) parts.push([`first after ${milliseconds(figures.first)}`, 'Time to the first token']);
  if (figures.prompt !== undefined)
    parts.push([`${number(figures.cached ?? 0)} of ${number(figures.prompt)} prompt tokens cached`, 'Prompt tokens, and those that were not computed again']);
  return parts;
}

function pictures(list) {
  return list?.length
    ? h('div', {class: 'pictures'}, list.map((source, index) => h('img', {src: source, alt: `Picture ${index + 1}`, loading: 'lazy'})))
    : null;
}

// "2 of 3", with arrows, where a turn has others beside it.
function branches(turn, {siblings, show}) {
  if (siblings.length < 2) return null;
  const at = siblings.indexOf(turn);
  const go = (name, label, to) => iconButton(name, label, () => show(siblings[to]), {disabled: !siblings[to]});
  return h('span', {class: 'branches', role: 'group', 'aria-label': 'Branches'}, go('left', 'Previous branch', at - 1),
    h('span', null, `${at + 1} of ${siblings.length}`), go('right', 'Next branch', at + 1));
}

// An editor in the place of a turn's text.
function edit(turn, place, label, done) {
  const before = [...place.childNodes];
  const area = h('textarea', {value: turn.text, rows: Math.min(14, turn.text.split('\n').length + 1), 'aria-label': 'Edit message', dir: 'auto'});
  const close = () => {
    place.replaceChildren(...before);
    place.classList.remove('editing');
  };
  const form = h('form', {
    class: 'stack',
    onsubmit: event => {
      event.preventDefault();
      if (area.value.trim() !== '') done(area.value);
    },
    onkeydown: event => {
      if (event.key === 'Escape') {
        event.stopPropagation();
        close();
      } else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
        form.requestSubmit();
      }
    },
  }, area, h('div', {class: 'row end'}, button('Cancel', close), h('button', {type: 'submit', class: 'primary'}, label)));
  place.classList.add('editing');
  place.replaceChildren(form);
  area.focus();
}

export function userTurn(turn, actions) {
  const body = h('div', {class: 'bubble'}, pictures(turn.pictures), h('div', {class: 'said', dir: 'auto'}, visible(turn.text)));
  return h('article', {class: 'turn user', 'aria-label': 'You', 'data-turn': turn.id}, body,
    h('div', {class: 'turn-bar'}, branches(turn, actions),
      iconButton('copy', 'Copy message', event => copyText(turn.text, event.currentTarget)),
      iconButton('edit', 'Edit and send again', () => edit(turn, body, 'Send', text => actions.edit(turn, text)))));
}

export function toolTurn(turn) {
  return h('article', {class: 'turn tool', 'aria-label': 'Result of a tool'},
    h('div', {class: 'call'}, h('div', {class: 'call-head'}, icon('check'), `Result of ${turn.name}`), h('pre', {tabindex: '0'}, visible(turn.text))));
}

function pretty(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

// An answer, while it comes and afterwards.
export class AnswerView {
  constructor(turn, actions) {
    this.turn = turn;
    this.actions = actions;
    this.text = null;
    this.thought = null;
    this.body = h('div', {class: 'answer'});
    this.bar = h('div', {class: 'turn-bar'});
    this.element = h('article', {class: 'turn assistant', 'aria-label': 'Answer of ' + (turn.model ?? 'the model'), 'data-turn': turn.id},
      this.body, this.bar);
  }

  // A turn that has ended.
  static of(turn, actions) {
    const view = new AnswerView(turn, actions);
    if (turn.thinking) view.addThinking(turn.thinking);
    if (turn.text) view.addText(turn.text);
    view.end();
    return view;
  }

  wait() {
    this.waiting = h('div', {class: 'waiting'}, h('span', {class: 'dots', 'aria-hidden': 'true'}, h('i'), h('i'), h('i')),
      this.waitingText = h('span', null, ''));
    this.body.append(this.waiting);
  }

  sayWaiting(text) {
    if (this.waiting) this.waitingText.textContent = text;
  }

  begun() {
    this.waiting?.remove();
    this.waiting = null;
  }

  addThinking(text) {
    this.begun();
    if (!this.thought) {
      this.thought = new MarkdownView();
      this.thoughtLabel = h('span', null, 'Thinking…');
      this.thoughtBox = h('details', {class: 'thinking'}, h('summary', null, icon('right'), this.thoughtLabel), this.thought.element);
      this.body.prepend(this.thoughtBox);
    }
    this.thought.append(text);
  }

  addText(text) {
    this.begun();
    if (!this.text) {
      this.endThinking();
      this.text = new MarkdownView();
      this.body.append(this.text.element);
    }
    this.text.append(text);
  }

  endThinking() {
    if (!this.thought || this.thoughtDone) return;
    this.thoughtDone = true;
    this.thought.finish();
    const time = this.turn.thinkingMs;
    this.thoughtLabel.textContent = time ? `Thought for ${milliseconds(time)}` : 'Thoughts';
  }

  render() {
    if (this.thoughtBox?.open || this.thoughtDone) this.thought.render();
    this.text?.render();
  }

  end() {
    this.begun();
    this.endThinking();
    this.text?.finish();
    this.addCalls();
    const {turn, actions} = this;
    if (turn.error) {
      this.body.append(h('div', {class: 'fault', role: 'alert'}, h('p', null, turn.error),
        button('Try again', () => actions.again(turn))));
    } else if (turn.finish === 'length') {
      this.body.append(h('p', {class: 'note'}, 'The answer ends here because the most tokens, or the context, were reached.'));
    } else if (turn.stopped) {
      this.body.append(h('p', {class: 'note'}, 'Stopped.'));
    } else if (!turn.text && !turn.calls?.length && !turn.thinking) {
      this.body.append(h('p', {class: 'note'}, 'The model answered nothing.'));
    }
    const figures = figuresText(turn.figures);
    this.bar.replaceChildren(...[branches(turn, actions),
      turn.text ? iconButton('copy', 'Copy answer', event => copyText(turn.text, event.currentTarget)) : null,
      turn.text ? iconButton('edit', 'Edit answer', () => edit(turn, this.body, 'Keep as a branch', text => actions.edit(turn, text))) : null,
      iconButton('again', 'Answer again', () => actions.again(turn)),
      h('span', {class: 'figures'}, turn.model ? h('span', {class: 'model-name'}, turn.model) : null,
        figures.map(([text, title]) => h('span', {title}, text)))].filter(Boolean));
  }

  addCalls() {
    const {turn, actions} = this;
    if (!turn.calls?.length) return;
    const answered = actions.isLast(turn) ? false : true;
    const results = turn.calls.map(() => h('textarea', {rows: '2', spellcheck: 'false', class: 'mono'}));
    const boxes = turn.calls.map((call, index) => {
      const id = `r-${turn.id}-${index}`;
      results[index].id = id;
      return h('div', {class: 'call'}, h('div', {class: 'call-head'}, icon('workbench'), call.name), h('pre', {tabindex: '0'}, visible(pretty(call.arguments))),
        answered ? null : h('div', {class: 'field'}, h('label', {for: id}, `Result of ${call.name}`), results[index]));
    });
    this.body.append(h('form', {
      class: 'calls stack',
      onsubmit: event => {
        event.preventDefault();
        actions.results(turn, results.map(area => area.value));
      },
    }, boxes, answered ? null : h('div', {class: 'row end'}, h('button', {type: 'submit', class: 'primary'}, 'Give the results'))));
  }
}

