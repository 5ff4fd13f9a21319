// The real broker, clients as their users have them, and comparing what they see.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import WebSocket from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';

process.setMaxListeners(0);

const BINARY = process.env.BROKER_BIN ?? new URL('../../target/debug/fanwire', import.meta.url).pathname;

/** A folder that goes with the process. */
export function folder() {
  const path = mkdtempSync(join(tmpdir(), 'fanwire-yjs-'));
  process.on('exit', () => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A broker with lines of configuration; `stop` ends it, `kill` ends it as a power cut would. */
export async function startBroker({ configuration, listen = '127.0.0.1:0', args = [] } = {}) {
  const all = ['serve', '--listen', listen, ...args];
  if (configuration !== undefined) {
    const file = join(folder(), 'fanwire.toml');
    writeFileSync(file, configuration);
    all.push('--config', file);
  }
  // The broker takes its settings from the environment, too; a test's are none of its business.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FANWIRE_')));
  const child = spawn(BINARY, all, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const broker = { child, pid: child.pid, log: '' };
  child.stderr.on('data', (data) => { broker.log += data; });
  const ended = new Promise((resolve) => child.on('exit', (code, signal) => resolve({ code, signal })));
  const end = (signal) => { child.kill(signal); return ended; };
  process.on('exit', () => child.kill('SIGKILL'));
  broker.ended = ended;
  broker.stop = () => end('SIGTERM');
  broker.kill = () => end('SIGKILL');
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /ws:\/\/([\d.:]+)\/ws/.exec(line);
    if (found) {
      child.stdout.resume();
      broker.address = found[1];
      broker.http = `http://${found[1]}`;
      broker.yjs = `ws://${found[1]}/yjs`;
      broker.ws = `ws://${found[1]}/ws`;
      return broker;
    }
  }
  throw new Error(`the broker did not start: ${broker.log}`);
}

/** A client as an application has it. */
export function connect(broker, room, options = {}) {
  const doc = options.doc ?? new Y.Doc();
  const url = typeof broker === 'string' ? broker : broker.yjs;
  // Clients in one process would otherwise talk behind the server's back.
  const provider = new WebsocketProvider(url, room, doc, { WebSocketPolyfill: WebSocket, disableBc: true, ...options });
  return { doc, provider, close() { provider.destroy(); doc.destroy(); } };
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits for a condition. */
export async function until(condition, what, ms = 10_000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`still not: ${typeof what === 'function' ? what() : what}`);
    await sleep(5);
  }
}

export const synced = ({ provider }) => until(() => provider.synced, 'synced');

const hex = (bytes) => Buffer.from(bytes).toString('hex');

/** Everything there is to compare of a document, as text: state vector and delete set, content, what is pending. */
export function fingerprint(doc) {
  return JSON.stringify({
    snapshot: hex(Y.encodeSnapshot(Y.snapshot(doc))),
    vector: hex(Y.encodeStateVector(doc)),
    content: content(doc),
    pending: [doc.store.pendingStructs, doc.store.pendingDs].map((pending) => pending !== null),
  });
}

/** Content with keys in order, and runs of text with the same formatting merged. */
function content(doc) {
  const sorted = (value) => {
    if (Array.isArray(value)) return value.map(sorted);
    if (value && typeof value === 'object' && !(value instanceof Uint8Array)) {
      return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
    }
    return value;
  };
  const runs = (delta) => {
    const merged = [];
    for (const { insert, attributes } of delta) {
      const last = merged.at(-1);
      const same = last && JSON.stringify(sorted(last.attributes)) === JSON.stringify(sorted(attributes));
      if (same && typeof insert === 'string' && typeof last.insert === 'string') last.insert += insert;
      else merged.push({ insert, attributes });
    }
    return merged;
  };
  return sorted({
    text: runs(doc.getText('text').toDelta()),
    map: doc.getMap('map').toJSON(),
    array: doc.getArray('array').toJSON(),
    xml: doc.getXmlFragment('xml').toString(),
  });
}

/** Waits until all of them see the same, and nothing is pending. */
export async function converged(docs, ms = 15_000) {
  const prints = () => docs.map(fingerprint);
  const equal = (all) => all.every((print) => print === all[0] && print.endsWith('"pending":[false,false]}'));
  await until(() => equal(prints()), () => `converged:\n${prints().map((print) => print.slice(0, 600)).join('\n')}`, ms);
  return JSON.parse(fingerprint(docs[0]));
}
