// One message as a line that opens.

import { h } from './dom.js';
import { bytes, clock } from './format.js';
import { jsonTree } from './json.js';

const LINE = 400;

const isBytes = (message) => message.b64 !== undefined;

/** The payload on one line, as far as it goes. */
export function oneLine(message) {
  if (message.cut) return `${bytes(message.size)}, too large to be shown here`;
  if (isBytes(message)) return `bytes ${message.b64.slice(0, LINE)}`;
  const text = JSON.stringify(message.data);
  return text.length > LINE ? `${text.slice(0, LINE)}…` : text;
}

/** Text that a filter is looked for in. */
export const searched = (message) => `${message.topic} ${message.key ?? ''} ${message.from?.user ?? ''} ${message.cut || isBytes(message) ? '' : JSON.stringify(message.data)}`.toLowerCase();

/** `alone`: all messages are of one topic, which need not be said with each. */
export function messageItem(message, alone = false) {
  const body = h('div', { class: 'body' });
  const details = h('details', {}, h('summary', {},
    h('span', { class: 'when' }, clock(message.time)),
    h('span', { class: 'what', title: message.topic }, [alone ? undefined : message.topic, message.key].filter((part) => part !== undefined).join(' · ')),
    h('span', { class: 'line' }, oneLine(message))), body);
  details.addEventListener('toggle', () => { if (details.open && !body.firstChild) open(body, message); });
  return h('li', {}, details);
}

function open(body, message) {
  const facts = [
    ['Topic', message.topic], ['Offset', `${message.offset} in epoch ${message.epoch}`], ['Key', message.key],
    ['From', message.from && (message.from.user ? `${message.from.user} (${message.from.client})` : message.from.client)],
    ['Size', message.size === undefined ? undefined : bytes(message.size)], ['Time', new Date(message.time).toISOString()],
    ...Object.entries(message.tags ?? {}).map(([name, value]) => [`Tag ${name}`, value]),
  ].filter(([, text]) => text !== undefined);
  const content = message.cut ? h('p', { class: 'soft' }, 'The payload is too large to be shown here; it is in the history of its topic.')
    : isBytes(message) ? h('pre', { class: 'shell' }, message.b64) : jsonTree(message.data);
  body.append(content, h('dl', { class: 'facts soft' }, facts.flatMap(([name, text]) => [h('dt', {}, name), h('dd', { class: 'mono' }, text)])));
  if (!message.cut) body.append(h('p', {}, copyButton(isBytes(message) ? message.b64 : JSON.stringify(message.data, null, 2))));
}

function copyButton(text) {
  const button = h('button', { class: 'small', type: 'button' }, 'Copy');
  button.addEventListener('click', async () => {
    await navigator.clipboard?.writeText(text).then(() => { button.textContent = 'Copied'; }, () => { button.textContent = 'Not allowed'; });
    setTimeout(() => { button.textContent = 'Copy'; }, 1_500);
  });
  return button;
}

