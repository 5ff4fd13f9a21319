// Messages: what is published right now, on one topic or many, and a form to publish.

import { address, follow, get, post, Problem } from './api.js';
import { empty, h, say, settled } from './dom.js';
import { count } from './format.js';
import { messageItem, searched } from './message.js';

/** Messages that are kept and shown; older ones go. */
const KEPT = 500, SHOWN = 200, PAST = 20;
/** New messages come in together: a list that moves all the time cannot be read. */
const DRAW_MS = 200;

export function messages(app) {
  const pattern = h('input', { value: '**', placeholder: 'chat:lobby, chat:* or **', spellcheck: 'false', autocomplete: 'off', required: true, maxLength: 200 });
  const filter = h('input', { type: 'search', placeholder: 'in topic, key, user or data', spellcheck: 'false' });
  const pause = h('button', { type: 'button', 'aria-pressed': 'false' }, 'Pause');
  const clear = h('button', { type: 'button' }, 'Clear');
  const state = h('span', { class: 'soft', role: 'status' }), notice = h('p', { class: 'notice', role: 'status' }), fault = h('p', { class: 'fault', role: 'alert' });
  const list = h('ul', { class: 'messages', 'aria-label': 'Messages, newest first' });
  const nothing = empty('Nothing yet', 'Messages show up here as they are published.');
  const form = publishForm(app);
  const element = h('div', { class: 'inspector' },
    h('section', { class: 'card' },
      h('form', { class: 'head', onsubmit: (event) => { event.preventDefault(); location.hash = `#/messages/${encodeURIComponent(pattern.value.trim())}`; } },
        h('h1', {}, 'Messages'), h('label', {}, 'Topics', pattern), h('button', { class: 'first' }, 'Watch')),
      h('div', { class: 'head' }, state, h('span', { class: 'row' }, h('label', {}, 'Filter', filter), pause, clear)),
      fault, notice, list, nothing),
    form.element);

  let watched, up = false, stop = () => {}, kept = [], waiting = [], leftOut = 0, drawing = false, paused = false;

  const alone = () => !watched?.includes('*');
  const fits = (message) => filter.value === '' || searched(message).includes(filter.value.toLowerCase());

  function draw() {
    drawing = false;
    if (paused) return told();
    const fresh = waiting.filter(fits).slice(-SHOWN);
    kept = kept.concat(waiting).slice(-KEPT);
    waiting = [];
    list.prepend(...fresh.reverse().map((message) => messageItem(message, alone())));
    while (list.childElementCount > SHOWN) list.lastElementChild.remove();
    told();
  }

  function told() {
    nothing.hidden = list.childElementCount > 0;
    if (watched && up) say(state, paused ? `paused, ${count(waiting.length)} ${waiting.length >= KEPT ? 'or more ' : ''}waiting` : 'live');
    say(notice, leftOut > 0 ? `${count(leftOut)} messages were left out: more are published than can be shown. Watch fewer topics to see all.` : '');
  }

  function take(message) {
    waiting.push(message);
    if (waiting.length > KEPT) waiting.shift();
    if (paused) told();
    else if (!drawing) { drawing = true; setTimeout(draw, DRAW_MS); }
  }

  function watch(text) {
    stop();
    [watched, up, kept, waiting, leftOut] = [text, false, [], [], 0];
    list.replaceChildren();
    list.classList.toggle('alone', alone());
    pattern.value = text;
    say(fault, '');
    say(state, 'connecting');
    if (!text.includes('*')) { past(text); form.topic(text); }
    stop = follow(address('/v1/tap', { match: text }), (name, event) => {
      if (name === 'message') take(event);
      else if (name === 'left_out') { leftOut += event.count; told(); }
    }, (now) => {
      up = now === 'up';
      if (now instanceof Problem) { if (!app.refused(now)) { say(fault, now.message); say(state, ''); } } else if (now === 'down') say(state, 'not connected, trying again');
      else told();
    });
    told();
  }

  /** What the topic holds already. */
  async function past(topic) {
    const history = await get(`/v1/topics/${encodeURIComponent(topic)}/messages`, { limit: PAST, reverse: true }).catch(() => undefined);
    if (!history || watched !== topic) return;
    const known = new Set([...kept, ...waiting].map(({ epoch, offset }) => `${epoch}/${offset}`));
    const older = history.messages.map((message) => ({ ...message, epoch: history.epoch })).filter(({ epoch, offset }) => !known.has(`${epoch}/${offset}`));
    kept = older.toReversed().concat(kept);
    list.append(...older.filter(fits).map((message) => messageItem(message, alone())));
    told();
  }

  filter.addEventListener('input', settled(() => {
    list.replaceChildren(...kept.filter(fits).slice(-SHOWN).reverse().map((message) => messageItem(message, alone())));
    told();
  }, 120));
  function setPaused(value) {
    paused = value;
    pause.setAttribute('aria-pressed', String(paused));
    pause.textContent = paused ? 'Go on' : 'Pause';
    draw();
  }

  pause.addEventListener('click', () => setPaused(!paused));
  // Who opens a message wants to read it; it shall not be carried away.
  list.addEventListener('toggle', ({ target }) => { if (target.open && target.parentElement.parentElement === list && !paused) setPaused(true); }, true);
  clear.addEventListener('click', () => { [kept, waiting, leftOut] = [[], [], 0]; list.replaceChildren(); told(); });

  return {
    element,
    enter(text) {
      app.watch({ limit: 1 });
      if (text !== undefined || watched === undefined) watch(text ?? '**');
    },
    leave() { stop(); watched = undefined; },
  };
}

function publishForm(app) {
  const topic = h('input', { name: 'topic', value: 'chat:lobby', maxLength: 200, required: true, spellcheck: 'false', autocomplete: 'off' });
  const keyField = h('input', { name: 'key', maxLength: 200, spellcheck: 'false', autocomplete: 'off', placeholder: 'only on topics of kind latest' });
  const data = h('textarea', { name: 'data', required: true, spellcheck: 'false' }, '{"text": "hello"}');
  const outcome = h('p', { class: 'soft', role: 'status' }, 'JSON, or else text.');
  const form = h('form', { class: 'card stack sticky', id: 'publish' }, h('h2', {}, 'Publish'), h('label', {}, 'Topic', topic), h('label', {}, 'Key', keyField),
    h('label', {}, 'Message', data), h('div', { class: 'row' }, h('button', { class: 'first' }, 'Publish'), h('span', { class: 'soft' }, 'Ctrl + Enter')), outcome);
  data.addEventListener('keydown', (event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit(); });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    let type = 'application/json';
    try { JSON.parse(data.value); } catch { type = 'text/plain; charset=utf-8'; }
    try {
      const headers = { 'Content-Type': type, ...(keyField.value ? { 'Message-Key': keyField.value } : {}) };
      const done = await post(`/v1/topics/${encodeURIComponent(topic.value)}/messages`, data.value, headers);
      outcome.className = 'soft';
      say(outcome, `Published at offset ${done.offset}; ${count(done.subscribers)} ${done.subscribers === 1 ? 'subscriber' : 'subscribers'}.`);
    } catch (problem) {
      if (app.refused(problem)) return;
      outcome.className = 'fault';
      say(outcome, problem.message);
    }
  });
  return { element: form, topic: (name) => { topic.value = name; } };
}
