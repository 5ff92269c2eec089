// What the server tells of itself by /api/events: one stream for the whole page, none while the tab is hidden, since a browser
// has six connections to a server for all its tabs.
import {connection, events, request, setUp} from './api.js';

export const live = new EventTarget();
live.hello = null;
live.models = [];
live.running = [];
live.ended = [];
live.log = [];
live.figures = [];

const MostEnded = 100;
const MostLines = 300;
const MostFigures = 180;
let abort = null;
let timer = 0;

function changed(name) {
  live.dispatchEvent(new Event(name));
}

const Take = {
  hello: data => { live.hello = data; live.ended = []; live.log = []; live.figures = []; live.running = []; },
  models: data => { live.models = data; },
  requests: data => {
    live.running = data.running;
    live.ended = live.ended.concat(data.ended).slice(-MostEnded);
  },
  log: data => { live.log = live.log.concat(data).slice(-MostLines); },
  figures: data => { live.figures = live.figures.concat(data).slice(-MostFigures); },
};

async function listen() {
  if (abort) return;
  const mine = abort = new AbortController();
  let pause = 500;
  while (!mine.signal.aborted) {
    try {
      const response = await request('api/events', {signal: mine.signal});
      pause = 500;
      for await (const {name, data} of events(response)) {
        Take[name]?.(JSON.parse(data));
        changed(name);
      }
      setUp(false);
    } catch (error) {
      if (mine.signal.aborted) return;
      setUp(error.status > 0);
      // Who did not give a key is asked again by what they do next.
      if (error.status >= 400 && error.status < 500) pause = 3600000;
    }
    await new Promise(resolve => {
      timer = setTimeout(resolve, pause);
      connection.addEventListener('key', resolve, {once: true});
    });
    pause = Math.min(pause * 1.5, 3000);
  }
}

// How far a load is: a folder of SafeTensors is converted before its model is loaded.
export function progressOf(state) {
  const converts = state.conversion === 'converting';
  return {verb: converts ? 'Converting' : 'Loading', share: converts ? state.conversion_progress ?? 0 : state.progress};
}

export function startListening() {
  listen();
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) {
      listen();
      return;
    }
    abort?.abort();
    abort = null;
    clearTimeout(timer);
  });
}
