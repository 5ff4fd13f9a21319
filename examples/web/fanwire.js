// A small client for the pages beside it, kept short enough to read in one go. It speaks the protocol of
// proto/PROTOCOL.md: reconnect, resubscribe, resume, and publishes that wait for a connection. For your own pages take
// clients/js instead, which has the corners that this one leaves out.

const BACKOFF_MAX_MS = 5_000;
const QUEUE_MAX = 1_000;

/**
 * Connects and stays connected. `state(text)` hears 'connecting', 'open' and 'closed'.
 *
 * - `subscribe(topic, options, on)`: `options` are the command's (`last`, `presence`, `max_rate`); `on` may have
 *   `message(message)`, `members(list)`, `join(member)`, `leave(member)`, `ready({ recovered })`, `gap(gap)`.
 * - `publish(topic, data, options)`: sent now or after the next connection, once; a promise of its place.
 * - `send(topic, data)`: now or never, without an answer.
 * - `offline(true)` drops the connection and stays away until `offline(false)`.
 */
export function connect(state = () => {}, url = `${location.origin.replace(/^http/, 'ws')}/ws`) {
  const subscriptions = new Map(); // topic -> { options, on, epoch, position }
  const asked = new Map(); // id -> what its answer is for
  const queue = []; // publishes that are not answered yet, in order
  const own = crypto.randomUUID();
  let socket, attempts = 0, nextId = 1, away = false, left = false, timer;

  function open() {
    clearTimeout(timer);
    if (away || left || socket) return;
    state('connecting');
    socket = new WebSocket(url, 'fanwire.v1.json');
    socket.onopen = () => {
      for (const topic of subscriptions.keys()) ask(topic);
      for (const publish of queue) command(publish.command, publish);
    };
    socket.onmessage = ({ data }) => [JSON.parse(data)].flat().forEach(hear);
    socket.onclose = ({ code }) => {
      socket = undefined;
      asked.clear();
      state('closed');
      // 4000 to 4099: do not come back. A random pause, so that a thousand pages do not come back at once.
      if (!away && !left && !(code >= 4000 && code < 4100)) timer = setTimeout(open, Math.random() * Math.min(BACKOFF_MAX_MS, 250 * 2 ** attempts++));
    };
  }

  function command(object, answer) {
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (answer) { object = { ...object, id: nextId++ }; asked.set(object.id, answer); }
    socket.send(JSON.stringify(object));
  }

  /** Subscribes where the page stands: after its last message, or as it first wished. */
  function ask(topic) {
    const it = subscriptions.get(topic);
    command({ type: 'subscribe', topic, ...it.options, ...(it.position ? { since: it.position } : {}) }, it);
  }

  function hear(event) {
    const it = subscriptions.get(event.topic);
    switch (event.type) {
      case 'welcome': attempts = 0; connection.client = event.client; state('open'); break;
      case 'ok': answered(event); break;
      case 'error': failed(event); break;
      case 'message':
        if (!it) break;
        it.position = { epoch: it.epoch, offset: event.offset };
        it.on.message?.(event);
        break;
      case 'gap':
        if (!it) break;
        it.epoch = event.epoch;
        it.on.gap?.(event);
        break;
      case 'join': case 'leave': it?.on[event.type]?.(event); break;
    }
  }

  function answered(event) {
    const answer = asked.get(event.id);
    asked.delete(event.id);
    if (answer?.command) { settle(answer); answer.resolve(event); }
    if (!answer?.on) return;
    const resumed = answer.position !== undefined;
    answer.epoch = event.epoch;
    // Until its first message the page stands here; but what `last` asked for, or the newest values, are still to come.
    if (event.recovered !== true) answer.position = ['latest', 'document'].includes(event.kind) ? { epoch: event.epoch, offset: 0 } : answer.options.last && !resumed && event.offset > 0 ? undefined : { epoch: event.epoch, offset: event.offset };
    answer.on.ready?.({ resumed, recovered: event.recovered });
    if (event.members) answer.on.members?.(event.members);
  }

  function failed(error) {
    const answer = asked.get(error.id);
    asked.delete(error.id);
    if (answer?.command) { settle(answer); answer.reject(Object.assign(new Error(error.message), error)); }
    else console.warn(`fanwire: ${error.code}: ${error.message}`);
  }

  const settle = (publish) => queue.splice(queue.indexOf(publish), 1);

  const connection = {
    client: undefined,
    subscribe(topic, options, on) {
      subscriptions.set(topic, { options, on });
      ask(topic);
      return () => { subscriptions.delete(topic); command({ type: 'unsubscribe', topic }); };
    },
    publish(topic, data, options = {}) {
      if (queue.length >= QUEUE_MAX) return Promise.reject(new Error('too much waits for a connection'));
      return new Promise((resolve, reject) => {
        // The id makes it one message, even if it has to be sent twice.
        const publish = { command: { type: 'publish', topic, data, message_id: `${own}-${nextId++}`, ...options }, resolve, reject };
        queue.push(publish);
        command(publish.command, publish);
      });
    },
    send: (topic, data) => command({ type: 'publish', topic, data }),
    offline(yes) {
      away = yes;
      if (away) { clearTimeout(timer); socket?.close(); } else open();
    },
  };
  addEventListener('online', open);
  // A page that was left may be kept by the browser, and come back; until then it shall hold no connection.
  addEventListener('pagehide', () => { left = true; clearTimeout(timer); socket?.close(); });
  addEventListener('pageshow', ({ persisted }) => { if (persisted) { left = false; open(); } });
  open();
  return connection;
}
