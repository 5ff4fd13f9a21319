// Overview: what the broker does now and how that has been for two minutes; what went wrong; where to begin.

import { chart } from './chart.js';
import { empty, h, keep, say, tableHead, tableRow } from './dom.js';
import { bytes, count, rate, span } from './format.js';
import { topicCells, topicColumns } from './topics.js';

/** Title, what is drawn, how it is written, and a line below. */
const TILES = [
  ['Messages in', (s) => s.rates?.messages_published, (v) => [rate(v), '/s'], (s) => `${count(s.counts.messages_published)} since start`],
  ['Messages delivered', (s) => s.rates?.deliveries, (v) => [rate(v), '/s'], (s) => `${count(s.counts.deliveries)} since start`],
  ['Connections', (s) => s.connection_count, (v) => [count(v), ''], (s) => `${count(s.counts.connections_opened)} opened since start`],
  ['Topics', (s) => s.topic_count, (v) => [count(v), ''], () => 'existing now'],
  ['Sent', (s) => s.rates?.sent_bytes, (v) => [bytes(v === undefined ? undefined : Math.round(v)), v === undefined ? '' : '/s'], (s) => `${bytes(s.counts.sent_bytes)} since start`],
  ['Received', (s) => s.rates?.received_bytes, (v) => [bytes(v === undefined ? undefined : Math.round(v)), v === undefined ? '' : '/s'], (s) => `${bytes(s.counts.received_bytes)} since start`],
  ['Processor', (s) => s.cpu ?? undefined, (v) => [v === undefined ? '–' : (v * 100).toFixed(v < 0.1 ? 1 : 0), v === undefined ? '' : '% of a core'], (s) => `up for ${span(s.uptime_s)}`],
  ['Memory', (s) => s.process.resident_bytes, (v) => [bytes(v), ''], () => 'held by the process'],
];

/** What users may have felt, and what it means; `calm` is no cause for alarm. */
const TROUBLE = [
  ['publishes_refused', 'Publishes refused', 'too large, not allowed, or the topic was full'],
  ['gaps', 'Gaps', 'a log subscriber came too late for what the history had'],
  ['deliveries_dropped', 'Dropped', 'volatile messages that slow subscribers missed'],
  ['deliveries_conflated', 'Conflated', 'newest values that replaced older ones; by design', 'calm'],
  ['connections_closed_ping', 'Lost', 'connections that answered no ping'],
  ['connections_closed_outbox', 'Cut off', 'connections that did not read their replies'],
  ['connections_closed_violation', 'Protocol violations', 'connections closed for breaking the protocol'],
  ['connections_turned_away', 'Turned away', 'connections refused by a limit'],
  ['webhooks_rejected', 'Webhooks rejected', 'not signed as their source says, or not understood; see Deliveries'],
  ['webhooks_failed', 'Webhooks failed', 'taken, but not published: a template does not fit; replay them once it does'],
];

const DEMOS = [
  ['/demos/chat.html', 'Chat room', 'presence, typing, and resume after a break'],
  ['/demos/ticker.html', 'Ticker board', 'thousands of updates a second, as many as you can see'],
  ['/demos/game.html', 'Game', 'several players on a volatile topic'],
  ['/demos/payments.html', 'Payments', 'a webhook of a payment, live in the page'],
];

export function overview(app) {
  const tiles = TILES.map(([label, value, show, under]) => tile(label, value, show, under));
  const busiest = h('tbody');
  const none = empty('No topics yet', 'A topic comes into being when it is first used. Publish to one from a terminal:',
    h('pre', { class: 'shell' }, `curl -d '{"text":"hello"}' ${location.origin}/v1/topics/chat:lobby/messages`));
  const table = h('div', { class: 'scroll', hidden: true }, h('table', { class: 'cards' }, tableHead(topicColumns), busiest));
  const loading = h('p', { class: 'soft', role: 'status' }, 'loading…');
  const trouble = h('tbody');
  none.hidden = true;
  const demos = h('section', { class: 'card', 'aria-label': 'Demos', hidden: true }, h('div', { class: 'head' }, h('h2', {}, 'Try it'), h('span', { class: 'soft' }, 'one readable file each; open them in two windows')),
    h('div', { class: 'demos' }, DEMOS.map(([href, title, what]) => h('a', { href, target: '_blank', rel: 'noopener' }, h('strong', {}, title), h('span', { class: 'soft' }, what)))));

  const element = h('div', { class: 'view' }, h('h1', { class: 'unseen' }, 'Overview'),
    h('dl', { class: 'tiles' }, tiles.map((one) => one.element)),
    h('div', { class: 'pair' },
      h('section', { class: 'card', 'aria-label': 'Busiest topics' }, h('div', { class: 'head' }, h('h2', {}, 'Busiest topics'), h('a', { href: '#/topics' }, 'All topics')), loading, table, none),
      h('section', { class: 'card', 'aria-label': 'Trouble' }, h('div', { class: 'head' }, h('h2', {}, 'Trouble')),
        h('div', { class: 'scroll' }, h('table', {}, tableHead([['', 'What'], ['number', 'Now /s'], ['number', 'Since start']]), trouble)))),
    demos);

  const troubleCells = [
    ['', ({ title, why }, cell) => { if (!cell.firstChild) cell.append(title, h('div', { class: 'soft small-text' }, why)); }],
    ['number', ({ now, calm }, cell) => { cell.classList.toggle('hot', now > 0 && !calm); cell.classList.toggle('zero', !now); return rate(now); }],
    ['number', ({ total }, cell) => { cell.classList.toggle('zero', total === 0); return count(total); }],
  ];

  return {
    element,
    enter: () => app.watch({ sort: 'rate', limit: 8 }),
    stats(stats, shown) {
      for (const one of tiles) one.update(stats);
      if (!shown) return;
      demos.hidden = !stats.open;
      loading.hidden = true;
      table.hidden = stats.topics.length === 0;
      none.hidden = !table.hidden;
      keep(busiest, stats.topics, ({ topic }) => topic, () => tableRow(topicCells(app), topicColumns));
      const rows = TROUBLE.map(([name, title, why, calm]) => ({ name, title, why, calm, now: stats.rates?.[name] ?? 0, total: stats.counts[name] ?? 0 }));
      keep(trouble, rows, ({ name }) => name, () => tableRow(troubleCells));
    },
  };
}

function tile(label, value, show, under) {
  const figure = h('span'), unit = h('small'), below = h('span', { class: 'under' });
  let last;
  const curve = chart(`${label}, last two minutes`, (at, seconds) => say(below, at === undefined ? under(last) : `${show(at).join('')}, ${seconds} s ago`));
  return {
    element: h('div', { class: 'tile' }, h('dt', {}, label), h('dd', {}, figure, ' ', unit), h('dd', { class: 'under' }, below), curve.element),
    update(stats) {
      const now = value(stats);
      const [text, of] = show(now);
      say(figure, text);
      say(unit, of);
      if (!curve.element.matches(':hover') || !last) say(below, under(stats));
      last = stats;
      if (now !== undefined) curve.add(stats.time, now);
    },
  };
}
