// A real broker with sources, a subscriber over a socket, and requests as providers send them.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { request } from 'node:http';
import WebSocket from 'ws';

const BINARY = process.env.BROKER_BIN ?? new URL('../../target/debug/fanwire', import.meta.url).pathname;
const PATIENCE_MS = 10_000;

/** Seconds since 1970, some seconds from now. */
export const seconds = (offset = 0) => Math.floor(Date.now() / 1000) + offset;

/** A folder that goes away with the process. */
export const folder = mkdtempSync(join(tmpdir(), 'fanwire-webhooks-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** A file in it; returns its path. */
export function file(name, content) {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** Starts a broker with this configuration; `end` ends it. */
export async function startBroker(configuration, variables = {}) {
  const config = file(`fanwire-${Math.random()}.toml`, configuration);
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('FANWIRE_'));
  const child = spawn(BINARY, ['serve', '--listen', '127.0.0.1:0', '--config', config], {
    env: { ...Object.fromEntries(own), ...variables },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /ws:\/\/([\d.:]+)\/ws/.exec(line);
    if (found) {
      const [host, port] = found[1].split(':');
      return { host, port: Number(port), end: () => child.kill() };
    }
  }
  throw new Error('the broker did not start');
}

/** Sends a request with exactly these bytes; resolves to status, headers and body. */
export function send(broker, path, { headers = {}, body = '', method = 'POST' } = {}) {
  return new Promise((resolve, reject) => {
    const sent = request({ host: broker.host, port: broker.port, path, method, headers }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => {
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** A subscriber of one topic. */
export class Listener {
  #messages = [];
  #waiting = [];
  #pongs = [];

  static async open(broker, topic) {
    const listener = new Listener();
    listener.socket = new WebSocket(`ws://${broker.host}:${broker.port}/ws`);
    listener.socket.on('message', (frame) => listener.#take(JSON.parse(frame)));
    await new Promise((resolve, reject) => listener.socket.once('open', resolve).once('error', reject));
    const subscribed = new Promise((resolve) => { listener.subscribed = resolve; });
    listener.socket.send(JSON.stringify({ type: 'subscribe', id: 1, topic }));
    await subscribed;
    return listener;
  }

  #take(events) {
    for (const event of [events].flat()) {
      if (event.type === 'ok') this.subscribed();
      if (event.type === 'pong') this.#pongs.shift()();
      if (event.type !== 'message') continue;
      const waiting = this.#waiting.shift();
      if (waiting) waiting(event.data);
      else this.#messages.push(event.data);
    }
  }

  /** The data of the next message. */
  next() {
    if (this.#messages.length > 0) return this.#messages.shift();
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('no message came')), PATIENCE_MS);
      this.#waiting.push((data) => { clearTimeout(late); resolve(data); });
    });
  }

  /** What has come and was not asked for, once everything that is on its way has come. */
  async rest() {
    await new Promise((resolve) => {
      this.#pongs.push(resolve);
      this.socket.send(JSON.stringify({ type: 'ping', id: 2 }));
    });
    return this.#messages.splice(0);
  }

  close() {
    this.socket.terminate();
  }
}

/** The same bytes but one. */
export function changed(body, at) {
  const bytes = Buffer.from(body);
  bytes[at] ^= 1;
  return bytes;
}
