// Making elements and keeping lists of them in step with data.

/** An element with attributes (or properties, where the value is no string) and children. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (typeof value === 'string') element.setAttribute(name, value);
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element[name] = value;
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return element;
}

/** Sets text without touching what is the same, so that nothing is announced or selected away for nothing. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Keeps the children of `parent` in step with `items`: each has one element, made once and updated from then on, so that
 * focus, selection and open details survive.
 */
export function keep(parent, items, key, make) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let element = old.get(name);
    if (!element) {
      element = make(item);
      element.dataset.key = name;
    }
    old.delete(name);
    element.update?.(item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const gone of old.values()) gone.remove();
}

/**
 * A table row that knows how to show an item: `cells` are [class, show] pairs, where `show(item, cell)` fills the cell. With
 * `columns`, as the head has them, each cell carries its label for where rows are cards (console.css).
 */
export function tableRow(cells, columns = []) {
  const row = h('tr', {}, cells.map(([name], index) => h(index === 0 ? 'th' : 'td', { class: name, ...(index === 0 ? { scope: 'row' } : {}), ...(index > 0 && columns[index]?.[1] ? { 'data-label': columns[index][1] } : {}) })));
  row.update = (item) => cells.forEach(([, show], index) => {
    const shown = show(item, row.children[index]);
    if (typeof shown === 'string') say(row.children[index], shown);
  });
  return row;
}

export const tableHead = (columns) => h('thead', {}, h('tr', {}, columns.map(([name, label]) => h('th', { class: name, scope: 'col' }, label))));

/** Calls `what` once things have been quiet for a moment. */
export function settled(what, ms = 200) {
  let timer;
  return (...args) => { clearTimeout(timer); timer = setTimeout(what, ms, ...args); };
}

export const empty = (title, ...rest) => h('div', { class: 'empty' }, h('strong', {}, title), ...rest);
