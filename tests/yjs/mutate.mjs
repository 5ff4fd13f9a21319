// Damaged frames at the door: nothing of them may end the broker, fill its memory, or spoil the document for others.
//
//   node mutate.mjs [--frames 1000000] [--seed 1]
import { connect as dial } from 'node:net';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import * as Y from 'yjs';
import { edit } from './edits.mjs';
import { Random } from './random.mjs';
import { connect, converged, fingerprint, startBroker, synced, until } from './support.mjs';

/** Frames as clients send them: of every type, and updates of every kind of content. */
function corpus(random) {
  const doc = new Y.Doc({ gc: false });
  const frames = [Buffer.from([0, 0, 1, 0]), Buffer.from('010a01a5f1b0c30702027b7d', 'hex'), Buffer.from([3])];
  const frame = (kind, body) => {
    const head = [0, kind];
    for (let length = body.length; ; length >>>= 7) {
      head.push(length > 0x7f ? (length & 0x7f) | 0x80 : length);
      if (length <= 0x7f) break;
    }
    return Buffer.concat([Buffer.from(head), body]);
  };
  doc.on('update', (update) => { if (update.length < 2_000) frames.push(frame(2, update)); });
  for (let i = 0; i < 400; i += 1) {
    edit(doc, random);
    if (i % 50 === 0) frames.push(frame(0, Y.encodeStateVector(doc)));
    if (i < 100 && i % 10 === 0) frames.push(frame(1, Y.encodeStateAsUpdate(doc)));
  }
  return frames.filter((one) => one.length < 5_000);
}

function mutated(frame, random) {
  let bytes = Buffer.from(frame);
  for (let i = 0; i <= random.below(3); i += 1) {
    const at = random.below(bytes.length + 1);
    const junk = Buffer.from(Array.from({ length: 1 + random.below(4) }, () => random.pick([random.below(256), 0xff, 0x80, 0])));
    const cut = random.below(Math.min(8, bytes.length) + 1);
    bytes = random.pick([
      () => { if (at < bytes.length) bytes[at] = random.pick([random.below(256), bytes[at] ^ (1 << random.below(8))]); return bytes; },
      () => { if (at < bytes.length) bytes[at] = random.pick([random.below(256), bytes[at] ^ (1 << random.below(8))]); return bytes; },
      () => Buffer.concat([bytes.subarray(0, at), junk, bytes.subarray(at)]),
      () => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + cut)]),
      () => bytes.subarray(0, Math.max(1, at)),
    ])();
  }
  return bytes;
}

/** A masked binary frame; a mask of zeros leaves the bytes as they are. */
function wire(bytes) {
  const length = bytes.length < 126 ? Buffer.from([0x80 | bytes.length]) : Buffer.from([0xfe, bytes.length >> 8, bytes.length & 0xff]);
  return Buffer.concat([Buffer.from([0x82]), length, Buffer.alloc(4), bytes]);
}

const PING = Buffer.from([0x89, 0x80, 0, 0, 0, 0]);

/** Sends frames over one connection until the broker has had enough; returns how many it looked at. */
function attack(broker, room, frames) {
  const [host, port] = broker.address.split(':');
  return new Promise((resolve, reject) => {
    const socket = dial(Number(port), host);
    let [sent, open, heard] = [0, false, Buffer.alloc(0)];
    const next = () => {
      if (sent === frames.length) return socket.end();
      socket.write(Buffer.concat([wire(frames[sent]), PING]));
      sent += 1;
      return undefined;
    };
    socket.setNoDelay(true);
    socket.on('connect', () => socket.write(
      `GET /yjs/${room} HTTP/1.1\r\nHost: ${broker.address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'));
    socket.on('data', (data) => {
      heard = Buffer.concat([heard, data]);
      if (!open) {
        const end = heard.indexOf('\r\n\r\n');
        if (end < 0) return;
        open = true;
        heard = heard.subarray(end + 4);
        next();
      }
      // Only whether the ping was answered or the connection is being closed matters.
      while (heard.length >= 2) {
        const short = heard[1] & 0x7f;
        const head = short < 126 ? 2 : short === 126 ? 4 : 10;
        if (heard.length < head) return;
        const length = short < 126 ? short : short === 126 ? heard.readUInt16BE(2) : Number(heard.readBigUInt64BE(2));
        if (heard.length < head + length) return;
        const opcode = heard[0] & 0xf;
        heard = heard.subarray(head + length);
        if (opcode === 8) return void socket.destroy();
        if (opcode === 10) next();
      }
    });
    socket.on('close', () => resolve(Math.max(1, sent)));
    socket.on('error', (error) => (open ? undefined : reject(error)));
  });
}

const rss = (broker) => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${broker.pid}/status`, 'utf8'))[1]) / 1024;

/** Damaged frames, and what became of those who were there. */
export async function run(count, seed, connections = 16) {
  const random = new Random(seed);
  const rules = "[[rule]]\npattern = 'doc:**'\nkind = 'document'\nmerge_updates = 64\n";
  const broker = await startBroker({ configuration: rules });
  const before = rss(broker);
  try {
    // In the attacked document, and beside it.
    const inside = [connect(broker, 'doc:attacked'), connect(broker, 'doc:attacked')];
    const beside = [connect(broker, 'doc:beside'), connect(broker, 'doc:beside')];
    await Promise.all([...inside, ...beside].map(synced));
    let closed = 0;
    beside.forEach(({ provider }) => provider.on('connection-close', () => { closed += 1; }));
    const frames = corpus(random);
    let done = 0;
    const work = async () => {
      while (done < count) {
        const some = Array.from({ length: 32 }, () => mutated(random.pick(frames), random));
        // Most hit documents that are not full of nonsense yet: there they go fastest.
        const room = random.chance(0.02) ? 'doc:attacked' : `doc:attacked${Math.floor(done / 500)}`;
        done += await attack(broker, room, some);
        if (random.chance(0.01)) edit(random.pick(beside).doc, random);
        if (random.chance(0.01)) random.pick(inside).doc.getText('healthy').insert(0, 'h');
      }
    };
    await Promise.all(Array.from({ length: connections }, work));
    await converged(beside.map(({ doc }) => doc));
    if (closed > 0) throw new Error('who was beside was disconnected');
    // Whoever comes now can work with the document.
    const [late, later] = [connect(broker, 'doc:attacked'), connect(broker, 'doc:attacked')];
    await Promise.all([synced(late), synced(later)]);
    late.doc.getText('after').insert(0, 'still here');
    await until(() => later.doc.getText('after').toString() === 'still here', 'an edit after it all');
    const healthy = ({ doc }) => doc.getText('healthy').toString();
    await until(() => [...inside, later].every((client) => healthy(client) === healthy(late)), 'all see the healthy part');
    const panics = broker.log.match(/thread '([^']*)'[^\n]*panicked/g) ?? [];
    const elsewhere = panics.filter((line) => !/'(merge|joins)'/.test(line));
    if (broker.child.exitCode !== null || elsewhere.length > 0) throw new Error(`the broker broke: ${broker.log.slice(0, 2_000)}`);
    [...inside, ...beside, late, later].forEach((client) => client.close());
    return { frames: done, panicsCaught: panics.length, mebibytesBefore: Math.round(before), mebibytesMost: Math.round(rss(broker)) };
  } finally {
    await broker.kill();
  }
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const { values } = parseArgs({ options: { frames: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' } } });
  console.log(await run(Number(values.frames), Number(values.seed)));
  process.exit(0);
}
