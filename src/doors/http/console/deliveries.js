// Deliveries: webhooks that came in, what became of them, and another try.

import { get, post, text } from './api.js';
import { empty, h, keep, say, settled, tableHead, tableRow } from './dom.js';
import { ago, bytes, count } from './format.js';
import { jsonTree } from './json.js';

const PAGE = 100, EVERY_MS = 2_000, BODY_SHOWN = 100_000, REASON = 120;
const OUTCOMES = ['accepted', 'duplicate', 'filtered', 'failed', 'rejected', 'handshake'];

export function deliveries(app) {
  const source = h('input', { type: 'search', placeholder: 'a source’s name', spellcheck: 'false' });
  const outcome = h('select', {}, ['', ...OUTCOMES].map((value) => h('option', { value }, value || 'any')));
  const body = h('tbody'), found = h('span', { class: 'soft', role: 'status' }, 'loading…');
  // Why a delivery was not replayed stays until the next try; what became of the list goes with its next load.
  const fault = h('p', { class: 'fault', role: 'alert' }), refusal = h('p', { class: 'fault', role: 'alert' });
  const none = empty('No deliveries', 'Webhooks that others send to /in/… show up here: what came, what became of it and why. A source is a few lines of configuration:',
    h('pre', { class: 'shell' }, '[[source]]\nname = "payments"\nprovider = "stripe"\nsecret_env = "STRIPE_WEBHOOK_SECRET"'));
  const columns = [['', 'Event'], ['', 'Source'], ['', 'Outcome'], ['number wide', 'Size'], ['number', 'Came'], ['number', '']];
  const table = h('div', { class: 'scroll', hidden: true }, h('table', { class: 'cards' }, tableHead(columns), body));
  const open = h('section', { class: 'card stack', hidden: true, tabIndex: -1, 'aria-label': 'Delivery' });
  const element = h('div', { class: 'view' }, open, h('section', { class: 'card' },
    h('div', { class: 'head' }, h('h1', {}, 'Deliveries'), found, h('label', {}, 'Source', source), h('label', {}, 'Outcome', outcome)), refusal, fault, table, none));

  const cells = [
    ['name', ({ id, events, replay_of: of }, cell) => {
      if (!cell.firstChild) cell.append(eventNames(events) || '–', h('div', { class: 'soft' }, of ? `replay of ${of}` : id));
    }],
    ['', ({ source: name, provider }, cell) => { cell.title = provider; return name; }],
    ['', ({ outcome: what, detail, pending, verified }, cell) => {
      cell.className = `outcome ${looks(what)}`;
      cell.title = verified ? 'its signature was verified' : '';
      if (!cell.firstChild) cell.append(h('span'), h('div', { class: 'soft small-text reason' }));
      cell.lastChild.title = detail ?? '';
      say(cell.lastChild, short(detail ?? ''));
      say(cell.firstChild, pending ? `${what}, waits` : what);
    }],
    ['number wide', ({ bytes: size }) => bytes(size)],
    ['number soft', ({ received_at: came }) => ago(came, app.now())],
    ['number', (delivery, cell) => { if (!cell.firstChild) cell.append(actions(delivery)); }],
  ];

  let timer, round = 0;

  const told = (what) => (problem) => { if (!app.refused(problem)) say(refusal, `${what}: ${problem.message}`); };

  async function load() {
    clearTimeout(timer);
    const mine = ++round;
    try {
      const { deliveries: list } = await get('/v1/deliveries', { source: source.value.trim(), outcome: outcome.value, limit: PAGE });
      if (mine !== round) return;
      say(fault, '');
      say(found, list.length < PAGE ? count(list.length) : `newest ${PAGE}`);
      table.hidden = list.length === 0;
      none.hidden = list.length > 0;
      keep(body, list, ({ id }) => id, () => tableRow(cells, columns));
    } catch (problem) {
      if (mine !== round) return;
      say(found, '');
      if (!app.refused(problem)) say(fault, `The deliveries could not be loaded: ${problem.message}.`);
    }
    if (mine === round) timer = setTimeout(load, EVERY_MS);
  }

  function actions({ id, outcome: what }) {
    const path = `/v1/deliveries/${encodeURIComponent(id)}`;
    const view = h('button', { class: 'small quiet', type: 'button', 'aria-label': `View ${id}` }, 'View');
    view.addEventListener('click', () => show(path).catch(told(`${id} could not be opened`)));
    if (what === 'handshake') return view;
    const replay = h('button', { class: 'small quiet', type: 'button', 'aria-label': `Replay ${id}` }, 'Replay');
    replay.addEventListener('click', async () => {
      replay.disabled = true;
      say(refusal, '');
      await post(`${path}/replay`).then(load, told(`${id} was not replayed`));
      replay.disabled = false;
    });
    return h('span', {}, view, replay);
  }

  async function show(path) {
    const [delivery, raw] = await Promise.all([get(path), text(`${path}/raw`)]);
    const outcomeLine = h('p', {}, h('span', { class: `outcome ${looks(delivery.outcome)}` }, delivery.outcome), delivery.detail ? `: ${delivery.detail}` : '');
    const facts = [['Verified', delivery.verified ? 'yes' : 'no'],
      ['Provider', delivery.provider], ['Came', new Date(delivery.received_at).toISOString()], ['Request', `${delivery.method} ${delivery.url}`],
      ...delivery.headers.map(({ name, value }) => [name, value])];
    let content;
    try { content = jsonTree(JSON.parse(raw)); } catch { content = h('pre', { class: 'shell' }, raw.slice(0, BODY_SHOWN)); }
    const download = h('button', { class: 'small', type: 'button' }, 'Copy the body');
    download.addEventListener('click', () => navigator.clipboard?.writeText(raw).then(() => say(download, 'Copied'), () => say(download, 'Not allowed')));
    open.replaceChildren(h('div', { class: 'head' }, h('h2', { class: 'mono' }, delivery.id), download, h('button', { class: 'small', type: 'button', onclick: () => { open.hidden = true; } }, 'Close')),
      outcomeLine, content, h('dl', { class: 'facts' }, facts.flatMap(([name, value]) => [h('dt', {}, name), h('dd', { class: 'mono' }, value)])));
    open.hidden = false;
    open.scrollIntoView({ block: 'nearest' });
    open.focus();
  }

  source.addEventListener('input', settled(load));
  outcome.addEventListener('change', load);
  none.hidden = true;
  return {
    element,
    enter() { app.watch({ limit: 1 }); load(); },
    leave() { round += 1; clearTimeout(timer); },
  };
}

const looks = (outcome) => ({ accepted: 'good', rejected: 'bad', failed: 'bad' })[outcome] ?? 'soft';

const short = (text) => (text.length > REASON ? `${text.slice(0, REASON)}…` : text);

const eventNames = (events = []) => [...new Set(events.map(({ event }) => event).filter(Boolean))].slice(0, 3).join(', ');
