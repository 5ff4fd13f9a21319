// A JSON value as a tree that opens and closes.

import { h } from './dom.js';

/** Entries shown of one array or object before the rest is left for a click. */
const SHOWN = 100;

export const jsonTree = (value) => h('div', { class: 'json' }, node(value, true));

function node(value, open) {
  if (value === null || typeof value !== 'object') return leaf(value);
  const entries = Object.entries(value), array = Array.isArray(value);
  const [first, last] = array ? ['[', ']'] : ['{', '}'];
  if (entries.length === 0) return h('span', {}, first + last);
  const list = h('ul');
  const details = h('details', { open }, h('summary', {}, `${first} `, h('span', { class: 'field' }, `${entries.length} ${array ? 'item' : 'field'}${entries.length === 1 ? '' : 's'}`), ` ${last}`), list);
  // Filled when it is first opened: a large value costs what is looked at.
  const fill = (from) => {
    list.append(...entries.slice(from, from + SHOWN).map(([name, entry]) => h('li', {}, h('span', { class: 'field' }, `${array ? name : JSON.stringify(name)}: `), node(entry, false))));
    if (entries.length > from + SHOWN) {
      const more = h('button', { class: 'small', type: 'button', onclick: () => { item.remove(); fill(from + SHOWN); } }, `${entries.length - from - SHOWN} more`);
      const item = h('li', {}, more);
      list.append(item);
    }
  };
  if (open) fill(0);
  else details.addEventListener('toggle', () => list.childElementCount === 0 && fill(0));
  return details;
}

function leaf(value) {
  const kind = typeof value === 'string' ? 'string' : typeof value === 'number' ? 'number-value' : 'word';
  return h('span', { class: kind }, JSON.stringify(value));
}
