// What documents cost. Figures are of the machine and the moment; what is compared runs in one go, in turns.
//
//   node measure.mjs fanout      1000 clients and 10 edits a second: a document beside a log of the same sizes
//   node measure.mjs join        a document of 30 000 keystrokes: how long joining takes, how large it is
//   node measure.mjs hot         joining that document while somebody edits it 20 times a second
//   node measure.mjs reference   memory per document and CPU per edit beside @y/websocket-server
//
// BROKER_BIN names the broker; take a release build.
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import WebSocket from 'ws';
import * as Y from 'yjs';
import { Random } from './random.mjs';
import { connect, folder, sleep, startBroker, synced, until } from './support.mjs';

/** Processor time of all threads of a process, in seconds. */
function cpu(pid) {
  const time = (thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + time(thread), 0) / 1e9;
}

const rss = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;

/** An update message as an editor sends it, `bytes` long or a little more. */
function updates(count, letter = 'x', doc = new Y.Doc()) {
  const made = [];
  doc.on('update', (update) => made.push(message(update)));
  for (let i = 0; i < count; i += 1) doc.getText('text').insert(doc.getText('text').length, letter);
  return made;
}

function message(update) {
  const head = [0, 2];
  for (let length = update.length; ; length >>>= 7) {
    head.push(length > 0x7f ? (length & 0x7f) | 0x80 : length);
    if (length <= 0x7f) return Buffer.concat([Buffer.from(head), update]);
  }
}

async function sockets(url, count, hello, counter) {
  const all = [];
  for (let i = 0; i < count; i += 50) {
    const some = Array.from({ length: Math.min(50, count - i) }, () => new Promise((resolve, reject) => {
      const socket = new WebSocket(url, { perMessageDeflate: false });
      socket.on('open', () => { hello(socket); resolve(socket); });
      socket.on('message', () => { counter.heard += 1; });
      socket.on('error', reject);
    }));
    all.push(...await Promise.all(some));
  }
  return all;
}

/** CPU of the broker per delivery, in µs. */
async function fanoutOnce(broker, url, hello, frames, rate) {
  const counter = { heard: 0 };
  const all = await sockets(url, 1000, hello, counter);
  await sleep(1_500);
  const [start, heard] = [cpu(broker.pid), counter.heard];
  for (const frame of frames) {
    all[0].send(frame);
    await sleep(1000 / rate);
  }
  await until(() => counter.heard - heard >= frames.length * 1000, () => `${counter.heard - heard} deliveries`, 60_000);
  const spent = cpu(broker.pid) - start;
  all.forEach((socket) => socket.terminate());
  await sleep(500);
  return (spent * 1e6) / (frames.length * 1000);
}

async function fanout() {
  const broker = await startBroker();
  const [seconds, rate, rounds] = [8, 10, 3];
  const result = { document: [], log: [] };
  for (let round = 0; round < rounds; round += 1) {
    const frames = updates(seconds * rate, 'a few words ');
    result.document.push(await fanoutOnce(broker, `${broker.yjs}/doc:cost-${round}`, (socket) => socket.send(Buffer.from([0, 0, 1, 0])), frames, rate));
    // The same number of bytes on the wire: a message has its envelope, so its content is that much shorter.
    const topic = `chat:cost-${round}`;
    const size = Math.max(1, frames[5].length - 90);
    const texts = frames.map((_, i) => JSON.stringify({ type: 'publish', topic, data: 'x'.repeat(size) }));
    const hello = (socket) => socket.send(JSON.stringify({ type: 'subscribe', topic }));
    result.log.push(await fanoutOnce(broker, broker.ws, hello, texts, rate));
  }
  await broker.stop();
  const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
  const [document, log] = [mean(result.document), mean(result.log)];
  return { clients: 1000, editsPerSecond: rate, documentMicros: document.toFixed(2), logMicros: log.toFixed(2), ratio: (document / log).toFixed(2), rounds: result };
}

/**
 * Keystrokes as messages, a quarter of them deletes a letter: `typed` one after the other, or `scattered` all over the text,
 * which leaves the most pieces.
 */
function keystrokes(count, way) {
  const [doc, random, made] = [new Y.Doc(), new Random(3), []];
  const text = doc.getText('text');
  doc.on('update', (update) => made.push(message(update)));
  let cursor = 0;
  for (let i = 0; i < count; i += 1) {
    if (way === 'scattered') cursor = random.below(text.length + 1);
    if (cursor > 0 && random.chance(0.25)) {
      cursor -= 1;
      text.delete(cursor, 1);
    } else {
      text.insert(cursor, random.pick([...'etaoin shrdlu']));
      cursor += 1;
    }
  }
  return { doc, made };
}

async function joinOnce(way) {
  const data = folder();
  const broker = await startBroker({ configuration: "[[rule]]\npattern = 'doc:**'\nkind = 'document'\n", args: ['--data-dir', data] });
  const { doc, made } = keystrokes(30_000, way);
  const counter = { heard: 0 };
  const [writer] = await sockets(`${broker.yjs}/doc:long`, 1, () => {}, counter);
  let sent = 0;
  // An editor may send a thousand a second.
  for (const frame of made) {
    writer.send(frame);
    sent += 1;
    if (sent % 90 === 0) await sleep(100);
  }
  await until(() => counter.heard >= made.length, () => `${counter.heard} heard`, 60_000);
  const describe = async () => (await fetch(`${broker.http}/v1/topics/doc:long`)).json();
  await until(async () => (await describe()).messages === 1, async () => JSON.stringify(await describe()), 30_000);
  const state = async () => (await (await fetch(`${broker.http}/v1/documents/doc:long`, { headers: { accept: 'application/octet-stream' } })).arrayBuffer()).byteLength;
  const times = [];
  for (let i = 0; i < 20; i += 1) {
    const start = performance.now();
    const client = connect(broker, 'doc:long');
    await synced(client);
    times.push(performance.now() - start);
    if (client.doc.getText('text').toString() !== doc.getText('text').toString()) throw new Error('it differs');
    client.close();
  }
  const raw = made.reduce((sum, frame) => sum + frame.length, 0);
  times.sort((a, b) => a - b);
  const result = { keystrokes: made.length, rawBytes: raw, mergedBytes: await state(), yjsBytes: Y.encodeStateAsUpdate(doc).length, yjsSecondEncodingBytes: Y.encodeStateAsUpdateV2(doc).length, joinMedianMs: times[10].toFixed(1), joinWorstMs: times[19].toFixed(1) };
  await broker.stop();
  return result;
}

async function join() {
  return { typed: await joinOnce('typed'), scattered: await joinOnce('scattered') };
}

/** Joins a document, as somebody new or with all but a few edits, until the broker says that this was all. */
function joinRaw(url, vector) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    let bytes = 0;
    socket.on('open', () => socket.send(Buffer.from([0, 0, vector.length, ...vector])));
    socket.on('message', (data) => {
      bytes += data.length;
      if (data[0] === 0 && data[1] === 1) { socket.terminate(); resolve(bytes); }
    });
    socket.on('error', reject);
  });
}

async function hot() {
  const broker = await startBroker();
  const { doc, made } = keystrokes(30_000, 'scattered');
  const [writer] = await sockets(`${broker.yjs}/doc:hot`, 1, () => {}, { heard: 0 });
  for (let sent = 0; sent < made.length; sent += 1) {
    writer.send(made[sent]);
    if (sent % 90 === 0) await sleep(100);
  }
  const result = {};
  for (const [who, vector] of [['new', Buffer.from([0])], ['back', Buffer.from(Y.encodeStateVector(doc))]]) {
    doc.on('update', (update) => writer.send(message(update)));
    const editing = setInterval(() => doc.getText('text').insert(0, 'x'), 50);
    await sleep(1_000);
    const [start, spent, times] = [performance.now(), cpu(broker.pid), []];
    let bytes = 0;
    const joiner = async () => {
      while (performance.now() - start < 8_000) {
        const begun = performance.now();
        bytes = await joinRaw(`${broker.yjs}/doc:hot`, vector);
        times.push(performance.now() - begun);
      }
    };
    await Promise.all(Array.from({ length: 8 }, joiner));
    const seconds = (performance.now() - start) / 1000;
    clearInterval(editing);
    times.sort((a, b) => a - b);
    result[who] = { joinsPerSecond: Math.round(times.length / seconds), brokerMsPerJoin: (((cpu(broker.pid) - spent) * 1000) / times.length).toFixed(2), medianMs: times[times.length >> 1].toFixed(1), worstMs: times.at(-1).toFixed(1), bytes };
  }
  await broker.stop();
  return result;
}

async function startReference() {
  const server = new URL('reference-server.mjs', import.meta.url).pathname;
  const child = spawn(process.execPath, [server], { env: { PATH: process.env.PATH }, stdio: ['ignore', 'pipe', 'inherit'] });
  process.on('exit', () => child.kill());
  const port = await new Promise((resolve, reject) => {
    child.stdout.once('data', (line) => resolve(Number(line)));
    child.once('exit', () => reject(new Error('the reference server did not start')));
  });
  return { pid: child.pid, yjs: `ws://127.0.0.1:${port}`, stop: () => child.kill() };
}

async function referenceOnce(server) {
  const letters = 900;
  const before = rss(server.pid);
  // Documents with somebody in them, each with some text typed letter by letter.
  const documents = 100;
  const counter = { heard: 0 };
  const frames = updates(letters);
  for (let i = 0; i < documents; i += 1) {
    const [socket] = await sockets(`${server.yjs}/doc:${server.pid}-${i}`, 1, () => {}, counter);
    frames.forEach((frame) => socket.send(frame));
      }
  await until(() => counter.heard >= documents * letters, () => `${counter.heard} heard`, 120_000);
  await sleep(8_000);
  const perDocument = (rss(server.pid) - before) / documents;
  // A hundred clients in one document, ten edits a second.
  const heard = { heard: 0 };
  const crowd = await sockets(`${server.yjs}/doc:crowd-${server.pid}`, 100, (socket) => socket.send(Buffer.from([0, 0, 1, 0])), heard);
  await sleep(1_000);
  const [start, from, edits] = [cpu(server.pid), heard.heard, updates(100)];
  for (const frame of edits) {
    crowd[0].send(frame);
    await sleep(100);
  }
  await until(() => heard.heard - from >= edits.length * 100, () => `${heard.heard - from} heard`, 30_000);
  const perEdit = ((cpu(server.pid) - start) * 1e6) / edits.length;
  crowd.forEach((socket) => socket.terminate());
  return { kibibytesPerDocument: (perDocument / 1024).toFixed(1), microsPerEditTo100Clients: perEdit.toFixed(0), mebibytesInAll: (rss(server.pid) / 2 ** 20).toFixed(0) };
}

async function reference() {
  const [ours, theirs] = [await startBroker(), await startReference()];
  const result = { documents: '100 of 900 letters typed one by one, with a client in each', fanwire: await referenceOnce(ours), reference: await referenceOnce(theirs) };
  await ours.stop();
  theirs.stop();
  return result;
}

const what = { fanout, join, hot, reference }[process.argv[2]];
if (!what) throw new Error('fanout, join, hot or reference?');
console.log(JSON.stringify(await what(), null, 2));
process.exit(0);
