// The console's start: which view is shown, the stream of figures that feeds it, the admin key, the theme.

import { Problem, follow, address, get, key } from './api.js';
import { say } from './dom.js';
import { configuration } from './configuration.js';
import { connections } from './connections.js';
import { deliveries } from './deliveries.js';
import { messages } from './messages.js';
import { overview } from './overview.js';
import { topics } from './topics.js';

/** A tab that nobody has looked at for this long stops asking. */
const HIDDEN_MS = 60_000;

const find = (id) => document.getElementById(id);
const makers = { overview, topics, connections, messages, deliveries, configuration };
const views = {};
let shown, stop = () => {}, wanted = {}, hiddenTimer, asleep = false;

const app = {
  /** The last figures. */
  stats: undefined,
  /** The broker's time: its last figures' time, and what has passed since. */
  now: () => (app.stats ? app.stats.time + performance.now() - app.heard : Date.now()),
  heard: 0,
  /** Asks for figures with these topics: `match`, `search`, `sort`, `limit`. */
  watch(parameters) {
    if (JSON.stringify(parameters) === JSON.stringify(wanted) && shown) return;
    wanted = parameters;
    watch();
  },
  refused,
};

function watch() {
  const previous = stop;
  // The new stream first: while somebody watches, the broker keeps what rates are made of.
  stop = follow(address('/v1/stats/stream', wanted), (name, stats) => {
    Object.assign(app, { stats, heard: performance.now() });
    for (const view of Object.values(views)) view.stats?.(stats, view === shown);
    status('up', `${stats.version.replace('/', ' ')}${stats.draining ? ', draining' : ''}`);
  }, (state) => {
    if (state instanceof Problem) refused(state);
    else if (state === 'down') status('down', 'not connected, trying again');
  });
  setTimeout(previous);
}

function status(kind, text) {
  find('status').className = kind;
  say(find('status-text'), text);
}

/** Shows the form for the key where the problem is that there is none, or the wrong one; true if so. */
function refused(problem) {
  if (!(problem instanceof Problem) || !problem.wantsKey) return false;
  stop();
  status('down', 'locked');
  const had = key.get();
  key.forget();
  find('gate').hidden = false;
  find('view').hidden = true;
  find('gate').querySelector('.fault').textContent = had ? `That key was refused: ${problem.message}.` : '';
  find('gate').elements.key.focus();
  return true;
}

find('gate').addEventListener('submit', async (event) => {
  event.preventDefault();
  const field = event.target.elements.key, tried = field.value.trim();
  key.set(tried);
  event.target.querySelector('.fault').textContent = '';
  try {
    await get('/v1/stats');
  } catch (problem) {
    // The answer to a key that was replaced meanwhile says nothing about the one that is tried now.
    if (key.get() !== tried) return;
    if (!refused(problem)) event.target.querySelector('.fault').textContent = problem.message;
    return;
  }
  if (key.get() !== tried) return;
  field.value = '';
  find('gate').hidden = true;
  find('view').hidden = false;
  shown?.leave?.();
  route();
  watch();
});

function route() {
  const [name, ...rest] = location.hash.replace(/^#\//, '').split('/');
  const known = Object.hasOwn(makers, name) ? name : 'overview';
  views[known] ??= makers[known](app);
  const next = views[known];
  if (next !== shown) {
    shown?.leave?.();
    find('view').replaceChildren(next.element);
    shown = next;
  }
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === `#/${known}`) {
      link.setAttribute('aria-current', 'page');
      link.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    } else link.removeAttribute('aria-current');
  }
  document.title = `${known === 'overview' ? '' : `${known[0].toUpperCase()}${known.slice(1)} · `}fanwire console`;
  next.enter?.(rest.length > 0 ? decoded(rest.join('/')) : undefined);
  if (app.stats) next.stats?.(app.stats, true);
}

/** What an address names; one that was cut off names what it says. */
function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

addEventListener('hashchange', route);

document.addEventListener('visibilitychange', () => {
  clearTimeout(hiddenTimer);
  if (document.hidden) hiddenTimer = setTimeout(sleep, HIDDEN_MS);
  else if (asleep) wake();
});

function sleep() {
  asleep = true;
  stop();
  shown?.leave?.();
}

function wake() {
  asleep = false;
  if (!find('gate').hidden) return;
  route();
  watch();
}

// A page that was left may come back as it was.
addEventListener('pagehide', () => { clearTimeout(hiddenTimer); sleep(); });
addEventListener('pageshow', ({ persisted }) => { if (persisted) wake(); });

const THEME = 'fanwire-theme', THEMES = ['auto', 'light', 'dark'];
function theme(name) {
  document.documentElement.dataset.theme = name;
  find('theme').textContent = { auto: 'Auto', light: 'Light', dark: 'Dark' }[name];
  find('theme').setAttribute('aria-label', `Theme: ${name}`);
}
theme(THEMES.find((name) => name === localStorage.getItem(THEME)) ?? 'auto');
find('theme').addEventListener('click', () => {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  localStorage.setItem(THEME, next);
  theme(next);
});

route();
