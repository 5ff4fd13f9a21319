// Connections: who is here, from where, and how they keep up.

import { get, post } from './api.js';
import { empty, h, keep, say, settled, tableHead, tableRow } from './dom.js';
import { ago, bytes, count, milliseconds } from './format.js';

const PAGE = 100, EVERY_MS = 2_000;

export function connections(app) {
  const search = h('input', { type: 'search', placeholder: 'user, address, client, door', spellcheck: 'false' });
  const topic = h('input', { type: 'search', placeholder: 'a topic’s name', spellcheck: 'false' });
  const sort = h('select', {}, [['outbox', 'fullest outbox'], ['round_trip', 'slowest round trip'], ['subscriptions', 'most topics'], ['opened', 'newest']].map(([value, label]) => h('option', { value }, label)));
  const body = h('tbody'), found = h('span', { class: 'soft', role: 'status' }, 'loading…'), fault = h('p', { class: 'fault', role: 'alert' });
  const nothing = empty('Nobody is connected', 'WebSocket clients and event streams show up here.');
  const columns = [['', 'Client'], ['', 'Door'], ['wide', 'Address'], ['', 'Topics'], ['number', 'Outbox'], ['number', 'Round trip'], ['number wide', 'Connected'], ['number', '']];
  const table = h('div', { class: 'scroll', hidden: true }, h('table', { class: 'cards' }, tableHead(columns), body));
  const element = h('div', { class: 'view' }, h('section', { class: 'card' },
    h('div', { class: 'head' }, h('h1', {}, 'Connections'), found, h('label', {}, 'Find', search), h('label', {}, 'On', topic), h('label', {}, 'Order', sort)), fault, table, nothing));

  const cells = [
    ['name id', ({ client, user, token }, cell) => { if (!cell.firstChild) cell.append(user ?? client, h('div', { class: 'soft' }, [user && client, token && `token ${token}`].filter(Boolean).join(' · '))); }],
    ['', ({ door, format }) => (door === format || door === 'sse' ? door : `${door} · ${format}`)],
    ['mono wide', ({ address }) => address],
    ['', ({ subscriptions, topics }, cell) => {
      cell.title = topics.join('\n');
      return subscriptions === 0 ? '–' : `${topics[0]}${subscriptions > 1 ? ` +${count(subscriptions - 1)}` : ''}`;
    }],
    ['number', ({ outbox_bytes: waiting, lagging }, cell) => { cell.classList.toggle('zero', waiting === 0); cell.classList.toggle('hot', lagging); cell.title = lagging ? 'has fallen behind' : ''; return bytes(waiting); }],
    ['number', ({ round_trip_ms: took }, cell) => { cell.classList.toggle('zero', took === undefined); return milliseconds(took); }],
    ['number wide soft', ({ opened_ms: opened }) => ago(opened, app.now())],
    ['number', ({ client }, cell) => { if (!cell.firstChild) cell.append(disconnect(client)); }],
  ];

  nothing.hidden = true;
  let timer, round = 0;

  async function load() {
    clearTimeout(timer);
    const mine = ++round;
    try {
      const page = await get('/v1/connections', { search: search.value.trim(), topic: topic.value.trim(), sort: sort.value, limit: PAGE });
      if (mine !== round) return;
      say(fault, '');
      say(found, page.matched > page.connections.length ? `first ${count(page.connections.length)} of ${count(page.matched)}` : count(page.matched));
      keep(body, page.connections, ({ client }) => client, () => tableRow(cells, columns));
      table.hidden = page.connections.length === 0;
      nothing.hidden = !table.hidden;
      nothing.firstChild.textContent = page.count > 0 ? 'No such connection' : 'Nobody is connected';
    } catch (problem) {
      if (mine !== round || app.refused(problem)) return;
      say(found, '');
      say(fault, `The connections could not be loaded: ${problem.message}.`);
    }
    if (mine === round) timer = setTimeout(load, EVERY_MS);
  }

  function disconnect(client) {
    const button = h('button', { class: 'small quiet danger', type: 'button', 'aria-label': `Disconnect ${client}` }, 'Disconnect');
    let sure;
    button.addEventListener('click', async () => {
      if (!sure) {
        button.textContent = 'Sure?';
        sure = setTimeout(() => { sure = undefined; button.textContent = 'Disconnect'; }, 3_000);
        return;
      }
      clearTimeout(sure);
      button.disabled = true;
      await post('/v1/disconnect', JSON.stringify({ client }), { 'Content-Type': 'application/json' }).catch((problem) => app.refused(problem) || say(fault, problem.message));
      load();
    });
    return button;
  }

  for (const field of [search, topic]) field.addEventListener('input', settled(load));
  sort.addEventListener('change', load);
  return {
    element,
    enter() { app.watch({ limit: 1 }); load(); },
    leave() { round += 1; clearTimeout(timer); },
  };
}
