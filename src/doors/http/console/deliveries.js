// Deliveries: webhooks that came in, what became of them, and another try.

import { get, post, Problem } from './api.js';
import { empty, h, keep, say, settled, tableHead, tableRow } from './dom.js';
import { ago, bytes } from './format.js';

const PAGE = 100, EVERY_MS = 2_000;
const OUTCOMES = ['accepted', 'duplicate', 'filtered', 'rejected'];

export function deliveries(app) {
  const source = h('input', { type: 'search', placeholder: 'a source’s name', spellcheck: 'false' });
  const outcome = h('select', {}, ['', ...OUTCOMES].map((value) => h('option', { value }, value || 'any outcome')));
  const body = h('tbody'), fault = h('p', { class: 'fault', role: 'alert' });
  const none = empty('No deliveries yet', 'Requests to /in/… of the configured sources show up here, with what became of them.');
  const absent = empty('No webhooks here', 'This broker keeps no webhook deliveries. Where sources are configured, each request to /in/… is listed here, with its outcome, its raw content and a button to replay it.');
  const columns = [['', 'Delivery'], ['', 'Source'], ['', 'Outcome'], ['wide', 'Why'], ['number', 'Came'], ['number', '']];
  const table = h('div', { class: 'scroll', hidden: true }, h('table', {}, tableHead(columns), body));
  const raw = h('pre', { class: 'shell' }), rawTitle = h('h2', { class: 'mono' });
  const rawCard = h('section', { class: 'card', hidden: true, tabIndex: -1 }, h('div', { class: 'head' }, rawTitle, h('button', { type: 'button', class: 'small', onclick: () => { rawCard.hidden = true; } }, 'Close')), raw);
  const filters = h('span', { class: 'row' }, h('label', {}, 'Source', source), h('label', {}, 'Outcome', outcome));
  const element = h('div', { class: 'view' }, rawCard, h('section', { class: 'card' }, h('div', { class: 'head' }, h('h1', {}, 'Deliveries'), filters), fault, table, none, absent));

  const cells = [
    ['name', ({ id, event }, cell) => { if (!cell.firstChild) cell.append(event ?? id, h('div', { class: 'soft' }, event ? id : '')); }],
    ['', ({ source: name }) => name ?? ''],
    ['', ({ status }, cell) => { cell.className = `outcome ${status === 'rejected' ? 'bad' : status === 'accepted' ? 'good' : 'soft'}`; return status ?? ''; }],
    ['wide soft', ({ cause }) => cause ?? ''],
    ['number soft', ({ received_at: came }) => ago(came, app.now())],
    ['number', (delivery, cell) => { if (!cell.firstChild) cell.append(actions(delivery)); }],
  ];

  let timer, round = 0;

  async function load() {
    clearTimeout(timer);
    const mine = ++round;
    try {
      const page = await get('/v1/deliveries', { source: source.value.trim(), status: outcome.value, limit: PAGE });
      if (mine !== round) return;
      say(fault, '');
      show(page.deliveries ?? []);
    } catch (problem) {
      if (mine !== round || app.refused(problem)) return;
      if (problem instanceof Problem && problem.status === 404) return show(undefined);
      say(fault, problem.message);
    }
    if (mine === round) timer = setTimeout(load, EVERY_MS);
  }

  function show(list) {
    absent.hidden = list !== undefined;
    filters.hidden = list === undefined;
    none.hidden = list === undefined || list.length > 0;
    table.hidden = !list || list.length === 0;
    if (list) keep(body, list, ({ id }) => id, () => tableRow(cells));
  }

  function actions({ id }) {
    const path = `/v1/deliveries/${encodeURIComponent(id)}`;
    const view = h('button', { class: 'small quiet', type: 'button', 'aria-label': `Show delivery ${id}` }, 'View');
    view.addEventListener('click', async () => {
      try {
        const whole = await get(path);
        rawCard.hidden = false;
        say(rawTitle, `${id}${whole.bytes === undefined ? '' : `, ${bytes(whole.bytes)}`}`);
        say(raw, JSON.stringify(whole, null, 2));
        rawCard.focus();
      } catch (problem) { if (!app.refused(problem)) say(fault, problem.message); }
    });
    const replay = h('button', { class: 'small quiet', type: 'button', 'aria-label': `Replay delivery ${id}` }, 'Replay');
    replay.addEventListener('click', async () => {
      replay.disabled = true;
      await post(`${path}/replay`).then(load, (problem) => app.refused(problem) || say(fault, problem.message));
      replay.disabled = false;
    });
    return h('span', {}, view, replay);
  }

  source.addEventListener('input', settled(load));
  outcome.addEventListener('change', load);
  none.hidden = absent.hidden = true;
  return {
    element,
    enter() { app.watch({ limit: 1 }); load(); },
    leave() { round += 1; clearTimeout(timer); },
  };
}
