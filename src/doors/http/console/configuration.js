// Configuration: every setting with its value in force. Secrets never leave the broker.

import { get, key } from './api.js';
import { h, say, tableHead } from './dom.js';

/** Columns that say what a row is about. */
const FIRST = ['pattern', 'name', 'kind'];

export function configuration(app) {
  const general = h('tbody'), fault = h('p', { class: 'fault', role: 'alert' }), tables = h('div', { class: 'view' }), loading = h('p', { class: 'soft', role: 'status' }, 'loading…');
  const all = h('section', { class: 'card', hidden: true }, h('div', { class: 'head' }, h('h2', {}, 'Settings')),
    h('div', { class: 'scroll' }, h('table', { class: 'settings' }, tableHead([['', 'Setting'], ['', 'Value in force']]), general)));
  const forget = h('button', { type: 'button', hidden: true, onclick: () => { key.forget(); location.reload(); } }, 'Forget the key');
  const element = h('div', { class: 'view' }, h('div', { class: 'head' }, h('h1', {}, 'Configuration'), h('span', { class: 'soft' }, 'with the values in force; secrets are hidden'), forget), loading, fault, tables, all);

  async function load() {
    forget.hidden = !key.get();
    loading.hidden = !all.hidden;
    try {
      fill(await get('/v1/config'));
      say(fault, '');
    } catch (problem) {
      if (!app.refused(problem)) say(fault, `The configuration could not be loaded: ${problem.message}.`);
    }
    loading.hidden = true;
  }

  function fill(settings) {
    const lists = Object.entries(settings).filter(([, value]) => Array.isArray(value) && typeof value[0] === 'object');
    const tablesOf = [['rule', [...(settings.rule ?? []), { pattern: 'every other topic', ...settings.default }], 'Rules', 'the first match wins'],
      ...lists.filter(([name]) => name !== 'rule').map(([name, rows]) => [name, rows, `[[${name}]]`, ''])];
    tables.replaceChildren(...tablesOf.flatMap(([name, rows, title, hint]) => (name === 'rule' ? [listCard(title, hint, rows)] : rows.map((row) => entryCard(title, row)))));
    all.hidden = false;
    const rest = Object.entries(settings).filter(([name, value]) => name !== 'default' && !lists.some(([list]) => list === name) && name !== 'rule' && value !== null);
    general.replaceChildren(...rest.map(([name, value]) => h('tr', {}, h('th', { class: 'name', scope: 'row' }, name), h('td', { class: 'mono' }, shown(value)))));
  }

  return { element, enter() { app.watch({ limit: 1 }); load(); } };
}

/** A list of tables of the file, one row each, with the columns that any of them has. */
function listCard(title, hint, rows) {
  const columns = [...new Set([...FIRST, ...rows.flatMap((row) => Object.keys(row))])].filter((name) => rows.some((row) => row[name] !== null && row[name] !== undefined));
  return h('section', { class: 'card' }, h('div', { class: 'head' }, h('h2', {}, title), h('span', { class: 'soft' }, hint)),
    h('div', { class: 'scroll' }, h('table', { class: 'cards' }, tableHead(columns.map((name) => ['', name])),
      h('tbody', {}, rows.map((row) => h('tr', {}, columns.map((name, index) => cell(row, name, index))))))));
}

/** One table of the file with many settings of its own, of which the others have few. */
function entryCard(title, { name, ...row }) {
  const set = Object.entries(row).filter(([, value]) => value !== null && value !== undefined);
  return h('section', { class: 'card' }, h('div', { class: 'head' }, h('h2', {}, h('span', { class: 'mono' }, name ?? ''), ' ', h('span', { class: 'soft' }, title))),
    h('div', { class: 'scroll' }, h('table', { class: 'settings' }, h('tbody', {}, set.map(([setting, value]) => h('tr', {}, h('th', { class: 'name', scope: 'row' }, setting), h('td', { class: 'mono' }, shown(value))))))));
}

function cell(row, name, index) {
  if (name === 'kind') return h('td', { 'data-label': name }, h('span', { class: `kind ${row.kind}` }, row.kind));
  return h(index === 0 ? 'th' : 'td', { class: index === 0 ? 'name' : 'mono', ...(index === 0 ? { scope: 'row' } : { 'data-label': name }) }, shown(row[name]));
}

function shown(value) {
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.join(', ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
