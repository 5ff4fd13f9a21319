// Topics: all of them with their rates, and one of them with its content.

import { get } from './api.js';
import { empty, h, keep, say, settled, tableHead, tableRow } from './dom.js';
import { ago, bytes, count, rate, span } from './format.js';
import { messageItem } from './message.js';

const PAGE = 100, PAST = 20, MEMBERS = 200;

export const topicColumns = [['', 'Topic'], ['', 'Kind'], ['number', 'Subscribers'], ['number', 'Messages /s'], ['number wide', 'Last message']];

const href = (topic) => `#/topics/${encodeURIComponent(topic)}`;

export function topicCells(app) {
  return [
    ['name', ({ topic }, cell) => { if (!cell.firstChild) cell.append(h('a', { href: href(topic) }, topic)); }],
    ['', ({ kind }, cell) => { if (!cell.firstChild) cell.append(h('span', { class: `kind ${kind}` }, kind)); }],
    ['number', ({ subscribers }, cell) => { cell.classList.toggle('zero', subscribers === 0); return count(subscribers); }],
    ['number', (row, cell) => { cell.classList.toggle('zero', !row.rate); return rate(row.rate); }],
    ['number wide soft', ({ last_ms: last }) => ago(last, app.now())],
  ];
}

export function topics(app) {
  const list = topicList(app), one = topicPage();
  const element = h('div', { class: 'view' });
  return {
    element,
    enter(topic) {
      element.replaceChildren(topic === undefined ? list.element : one.element);
      if (topic === undefined) { one.hide(); list.watch(); } else one.show(topic, app);
    },
    leave: () => one.hide(),
    stats: (stats, shown) => shown && (list.element.isConnected ? list.update(stats) : one.update(stats)),
  };
}

function topicList(app) {
  const search = h('input', { type: 'search', placeholder: 'text, or a pattern like chat:*', spellcheck: 'false' });
  const sort = h('select', {}, [['rate', 'busiest first'], ['subscribers', 'most subscribers'], ['last', 'last message'], ['name', 'name']].map(([value, label]) => h('option', { value }, label)));
  const body = h('tbody'), found = h('span', { class: 'soft', role: 'status' }, 'loading…');
  const nothing = empty('No topic', 'No topic that exists now has such a name.');
  const table = h('div', { class: 'scroll', hidden: true }, h('table', { class: 'cards' }, tableHead(topicColumns), body));
  nothing.hidden = true;
  const watch = () => {
    const text = search.value.trim();
    app.watch({ sort: sort.value, limit: PAGE, ...(text.includes('*') ? { match: text } : { search: text }) });
  };
  search.addEventListener('input', settled(watch));
  sort.addEventListener('change', watch);
  const element = h('section', { class: 'card' },
    h('div', { class: 'head' }, h('h1', {}, 'Topics'), found, h('label', {}, 'Find', search), h('label', {}, 'Order', sort)), table, nothing);
  return {
    element,
    watch,
    update(stats) {
      say(found, stats.matched > stats.topics.length ? `first ${count(stats.topics.length)} of ${count(stats.matched)}` : count(stats.matched));
      table.hidden = stats.topics.length === 0;
      nothing.hidden = !table.hidden;
      keep(body, stats.topics, ({ topic }) => topic, () => tableRow(topicCells(app), topicColumns));
    },
  };
}

/** One topic: what it is, what it holds, who is there. */
function topicPage() {
  const title = h('h1', { class: 'mono' }), kind = h('span'), facts = h('dl', { class: 'facts' });
  const past = h('ul', { class: 'messages alone' }), members = h('ul', { class: 'row' }), fault = h('p', { class: 'fault', role: 'alert' });
  const pastNone = empty('Nothing held'), membersNone = empty('Nobody is subscribed');
  const follow = h('a', {}, 'Watch its messages');
  const element = h('div', { class: 'view' },
    h('p', {}, h('a', { href: '#/topics' }, '← All topics')),
    h('section', { class: 'card stack' }, h('div', { class: 'head' }, title, kind, follow), fault, facts),
    h('div', { class: 'pair' },
      h('section', { class: 'card' }, h('div', { class: 'head' }, h('h2', {}, 'Held for subscribers'), h('span', { class: 'soft' }, 'newest first')), past, pastNone),
      h('section', { class: 'card' }, h('div', { class: 'head' }, h('h2', {}, 'Present')), members, membersNone)));
  let topic, timer, app;

  async function load() {
    const path = `/v1/topics/${encodeURIComponent(topic)}`, asked = topic;
    try {
      const [about, history] = await Promise.all([get(path), get(`${path}/messages`, { limit: PAST, reverse: true })]);
      const here = await get(`${path}/presence`).catch((problem) => ({ problem }));
      if (asked === topic) fill(about, history, here);
    } catch (problem) {
      if (asked === topic && !app.refused(problem)) say(fault, problem.message);
    }
  }

  function fill(about, history, here) {
    say(fault, '');
    kind.className = `kind ${about.kind}`;
    say(kind, about.kind);
    const rows = [
      ['Subscribers', count(about.subscribers)],
      ['Position', about.epoch ? `offset ${about.offset} in epoch ${about.epoch}` : 'not used yet'],
      ['Holds', about.kind === 'latest' ? `${count(about.messages)} values` : `${count(about.messages)} messages`],
      ['Keeps', retention(about)],
    ];
    facts.replaceChildren(...rows.filter(([, text]) => text).flatMap(([name, text]) => [h('dt', {}, name), h('dd', {}, text)]));
    keep(past, history.messages, ({ offset }) => `${history.epoch}/${offset}`, (message) => messageItem({ ...message, epoch: history.epoch }, true));
    pastNone.hidden = history.messages.length > 0;
    const list = here.members ?? [];
    keep(members, list.slice(0, MEMBERS), ({ client }) => client, ({ client, user }) => h('li', { class: 'tag', title: client }, user ?? client));
    membersNone.hidden = list.length > 0;
    say(membersNone, here.problem ? here.problem.message : 'Nobody is subscribed');
  }

  return {
    element,
    show(name, its) {
      [topic, app] = [name, its];
      say(title, name);
      follow.href = `#/messages/${encodeURIComponent(name)}`;
      for (const part of [facts, past, members]) part.replaceChildren();
      app.watch({ match: name, limit: 1 });
      load();
      clearInterval(timer);
      timer = setInterval(load, 2_000);
    },
    hide: () => clearInterval(timer),
    update() {},
  };
}

function retention({ kind, retention: keeps }) {
  if (kind === 'latest') return `the newest value of up to ${count(keeps.max_keys)} keys${keeps.max_age_s ? `, for ${span(keeps.max_age_s)}` : ''}`;
  if (kind === 'volatile') return `nothing${keeps.tick_ms ? `; sends once in ${keeps.tick_ms} ms` : ''}`;
  if (keeps.count === undefined) return '';
  return `${count(keeps.count)} messages, ${span(keeps.age_s)} or ${bytes(keeps.bytes)}, whichever ends first`;
}
