// The broker's HTTP API: requests with the admin key, and event streams that come back after a loss.

const KEY = 'fanwire-admin-key';
const RETRY_MAX_MS = 5_000;
/** Longer than any answer takes; a stream's head comes as fast. */
const ANSWER_MS = 15_000;

/** A refusal: a problem document, or what stands for one. */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? `the broker answered ${status}`);
    this.status = status;
    this.code = document.code;
  }
  /** Another key might help. */
  get wantsKey() { return this.status === 401 || (this.status === 403 && this.message.includes('admin')); }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (text) => sessionStorage.setItem(KEY, text),
  forget: () => sessionStorage.removeItem(KEY),
};

// A browser keeps pages that were left, with all they have open, and has six connections to a host for them together. So
// a page that is left ends its requests; one that comes back makes new ones.
let left = new AbortController();
addEventListener('pagehide', () => left.abort());
addEventListener('pageshow', ({ persisted }) => { if (persisted) left = new AbortController(); });

async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  if (key.get()) headers.set('Authorization', `Bearer ${key.get()}`);
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error(`the broker did not answer within ${ANSWER_MS / 1_000} s`)), ANSWER_MS);
  const signal = AbortSignal.any([left.signal, late.signal, ...(options.signal ? [options.signal] : [])]);
  try {
    const response = await fetch(path, { ...options, headers, signal, cache: 'no-store' });
    if (response.ok) return response;
    throw new Problem(response.status, await response.json().catch(() => ({})));
  } catch (error) {
    // The browser's own words for a broker that is not there say nothing.
    throw error instanceof TypeError ? new Error('the broker cannot be reached', { cause: error }) : error;
  } finally {
    clearTimeout(timer);
  }
}

/** `/v1/…?…` with the parameters that are there. */
export function address(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== '');
  return given.length > 0 ? `${path}?${new URLSearchParams(given)}` : path;
}

export const get = async (path, parameters) => (await ask(address(path, parameters))).json();

/** The body as it is. */
export const text = async (path) => (await ask(path)).text();

export async function post(path, body, headers = {}) {
  const response = await ask(path, { method: 'POST', body, headers });
  const text = await response.text();
  return text ? JSON.parse(text) : {};
}

/**
 * Follows a stream of events until it is stopped; returns what stops it. `hear(name, data)` gets the events, `state` gets
 * 'up', 'down' and, where asking again is no use, the problem.
 */
export function follow(path, hear, state) {
  const stop = new AbortController();
  let pause = 250;
  const again = async () => {
    while (!stop.signal.aborted) {
      try {
        const response = await ask(path, { signal: stop.signal });
        state('up');
        pause = 250;
        await read(response.body, hear);
      } catch (error) {
        if (stop.signal.aborted) return;
        if (error instanceof Problem && error.status < 500 && error.status !== 429) return state(error);
      }
      if (stop.signal.aborted) return;
      state('down');
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(RETRY_MAX_MS, pause * 2);
    }
  };
  again();
  return () => stop.abort();
}

/** Reads Server-Sent Events as the broker writes them: `event:`, one `data:`, an empty line. */
async function read(body, hear) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (text + value).split('\n\n');
    text = events.pop();
    for (const event of events) {
      // Not by `.` of a regular expression: a name may contain U+2028, which that takes for the end of a line.
      const [, name, data] = /^event: ([^\n]*)\ndata: ([^\n]*)$/.exec(event) ?? [];
      if (name === 'failure') throw new Problem(JSON.parse(data).status, JSON.parse(data));
      if (name) hear(name, JSON.parse(data));
    }
  }
}
