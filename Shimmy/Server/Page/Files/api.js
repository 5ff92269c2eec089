// The server as the page asks it: the key, errors word for word, streams of server-sent events, and whether the server is there.
import {h, openDialog, field} from './dom.js';

const Base = new URL('..', import.meta.url);
const KeyName = 'shimmy.key';

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export const connection = new EventTarget();
let isUp = true;

export function setUp(up) {
  if (up === isUp) return;
  isUp = up;
  connection.dispatchEvent(new Event('change'));
}

export function serverIsUp() {
  return isUp;
}

let asking = null;

// Asks once, however many requests were refused. The key stays for this tab alone.
function askForKey(why) {
  return asking ??= new Promise(resolve => {
    const input = h('input', {type: 'password', autocomplete: 'off', required: true, spellcheck: 'false', id: 'api-key'});
    let given = false;
    const form = h('form', {
      class: 'stack',
      onsubmit: event => {
        event.preventDefault();
        if (input.value.trim() === '') return;
        given = true;
        sessionStorage.setItem(KeyName, input.value.trim());
        connection.dispatchEvent(new Event('key'));
        dialog.close();
      },
    }, h('p', null, why), field('API key', input, 'Kept for this tab only, and sent to this server only.'),
    h('div', {class: 'row end'}, h('button', {type: 'submit', class: 'primary'}, 'Use this key')));
    const dialog = openDialog('This server asks for an API key', form, {class: 'narrow'});
    dialog.addEventListener('close', () => {
      asking = null;
      resolve(given);
    });
    input.focus();
  });
}

// Throws ApiError: the server's own words, or status 0 where it does not answer.
export async function request(path, {body, method, signal, quiet, headers} = {}) {
  for (;;) {
    const key = sessionStorage.getItem(KeyName);
    let response;
    try {
      response = await fetch(new URL(path, Base), {
        method: method ?? (body === undefined ? 'GET' : 'POST'),
        headers: {
          ...(body === undefined ? {} : {'content-type': 'application/json'}),
          ...(key ? {authorization: 'Bearer ' + key} : {}),
          ...headers,
        },
        body: body === undefined ? undefined : JSON.stringify(body),
        signal, cache: 'no-store',
      });
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      setUp(false);
      throw new ApiError('The server does not answer. It may have been stopped.', 0);
    }
    setUp(true);
    if (response.ok) return response;
    const text = await errorOf(response);
    // Another request may have brought a key meanwhile.
    if (response.status === 401 && (sessionStorage.getItem(KeyName) !== key || (!quiet && await askForKey(text)))) continue;
    throw new ApiError(text, response.status);
  }
}

async function errorOf(response) {
  const text = await response.text();
  try {
    const {error} = JSON.parse(text);
    return typeof error === 'string' ? error : error.message ?? text;
  } catch {
    return text || `The server answered ${response.status}.`;
  }
}

export async function json(path, options) {
  return (await request(path, options)).json();
}

// The events of a stream, as {name, data}; data is text.
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const {value, done} = await reader.read();
      if (done) return;
      rest += value;
      let from = 0;
      for (let end; (end = rest.indexOf('\n\n', from)) >= 0; from = end + 2) {
        let name = 'message';
        let data = '';
        for (const line of rest.slice(from, end).split('\n')) {
          if (line.startsWith('data: ')) data += line.slice(6);
          else if (line.startsWith('event: ')) name = line.slice(7);
        }
        if (data) yield {name, data};
      }
      rest = rest.slice(from);
    }
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError('The connection to the server broke off.', 0);
  } finally {
    reader.cancel().catch(() => {});
  }
}

let known = null;

// The models, asked for once and again after a change.
export function models(again = false) {
  if (again || !known) {
    known = json('api/models');
    known.catch(() => { known = null; });
  }
  return known;
}

export function canChat(model) {
  return model.ready && model.capabilities.includes('completion');
}
