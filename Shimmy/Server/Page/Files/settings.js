// What requests of the chat say beside the conversation. A field that is left empty is not sent: the model's own default holds.
import {h, button, field, openDialog} from './dom.js';
import {saveSettings, settings} from './store.js';

const Numbers = [
  ['temperature', 'Temperature', 0, 100, 0.05, '0 always takes the likeliest token'],
  ['top_p', 'Top p', 0, 1, 0.01, 'Keeps the likeliest tokens up to this share'],
  ['top_k', 'Top k', -1, 1000000, 1, 'Keeps this many tokens; 0 keeps all'],
  ['min_p', 'Min p', 0, 1, 0.01, 'Drops tokens below this share of the likeliest'],
  ['repeat_penalty', 'Repeat penalty', 0.01, 100, 0.01, '1 is off'],
  ['presence_penalty', 'Presence penalty', -2, 2, 0.1, '0 is off'],
  ['frequency_penalty', 'Frequency penalty', -2, 2, 0.1, '0 is off'],
  ['max_tokens', 'Most tokens', 1, 10000000, 1, 'Of one answer, thinking included'],
  ['seed', 'Seed', 0, 4294967295, 1, 'The same seed gives the same answer'],
];

export function isJson(text, check) {
  try {
    return check(JSON.parse(text));
  } catch {
    return false;
  }
}

function jsonField(name, label, hint, values, check, wrong) {
  const area = h('textarea', {rows: '5', spellcheck: 'false', class: 'mono', value: values[name] ?? ''});
  const test = () => area.setCustomValidity(area.value.trim() === '' || isJson(area.value, check) ? '' : wrong);
  area.addEventListener('input', test);
  test();
  return {name, area, element: field(label, area, hint)};
}

export function openSettings(changed) {
  const values = settings();
  const system = h('textarea', {rows: '3', value: values.system ?? '', dir: 'auto'});
  const thinking = h('select', null, [['', 'As the model has it'], ['on', 'On'], ['off', 'Off']]
    .map(([value, label]) => h('option', {value, selected: (values.thinking ?? '') === value}, label)));
  const stop = h('input', {type: 'text', value: values.stop ?? '', autocomplete: 'off'});
  const numbers = Numbers.map(([name, label, min, max, step, hint]) => {
    const input = h('input', {type: 'number', min, max, step: 'any', value: values[name] ?? '', inputmode: 'decimal', 'data-step': step});
    return {name, input, element: field(label, input, hint)};
  });
  const schema = jsonField('schema', 'JSON schema of the answer', 'The answer then is JSON that satisfies it.', values,
    value => typeof value === 'object' && value !== null && !Array.isArray(value), 'This is not a JSON object.');
  const tools = jsonField('tools', 'Tools', 'A list of functions as OpenAI has it: [{"type": "function", "function": {"name": …}}]', values,
    Array.isArray, 'This is not a JSON list.');
  const form = h('form', {
    class: 'stack',
    onsubmit: event => {
      event.preventDefault();
      const next = {};
      const put = (name, value) => { if (value !== '') next[name] = value; };
      put('system', system.value.trim());
      put('thinking', thinking.value);
      put('stop', stop.value);
      for (const {name, input} of numbers) put(name, input.value === '' ? '' : Number(input.value));
      for (const {name, area} of [schema, tools]) put(name, area.value.trim());
      saveSettings(next);
      dialog.close();
      changed();
    },
  },
  field('System message', system), field('Thinking', thinking),
  h('div', {class: 'fields'}, numbers.map(one => one.element)),
  field('Stop at', stop, 'The answer ends before this text.'), schema.element, tools.element,
  h('div', {class: 'row end sticky'}, button('Reset', () => { saveSettings({}); dialog.close(); changed(); }),
    h('button', {type: 'submit', class: 'primary'}, 'Use these settings')));
  const dialog = openDialog('Settings of the chat', form);
}

// The fields of a request that the settings stand for.
export function requestFields(values = settings()) {
  const fields = {};
  for (const [name] of Numbers) if (values[name] !== undefined) fields[name] = values[name];
  if (values.stop) fields.stop = [values.stop];
  if (values.thinking) fields.enable_thinking = values.thinking === 'on';
  if (values.schema) fields.response_format = {type: 'json_schema', json_schema: {name: 'answer', schema: JSON.parse(values.schema)}};
  if (values.tools) fields.tools = JSON.parse(values.tools);
  return fields;
}

export function countSet(values = settings()) {
  return Object.keys(values).length;
}
