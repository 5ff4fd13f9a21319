// Editors as they are, one thing after the other.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { connect, converged, sleep, startBroker, synced, until } from './support.mjs';

let broker;
before(async () => { broker = await startBroker(); });
after(() => broker.stop());

test('two editors see what each types', async () => {
  const [a, b] = [connect(broker, 'doc:two'), connect(broker, 'doc:two')];
  await Promise.all([synced(a), synced(b)]);
  a.doc.getText('text').insert(0, 'hello');
  await until(() => b.doc.getText('text').toString() === 'hello', 'b has it');
  b.doc.getText('text').insert(5, ' world');
  b.doc.getMap('map').set('k', { deep: [1, 2, null] });
  const { content } = await converged([a.doc, b.doc]);
  assert.equal(content.text[0].insert, 'hello world');
  const late = connect(broker, 'doc:two');
  await synced(late);
  await converged([a.doc, late.doc]);
  [a, b, late].forEach((client) => client.close());
});

test('an empty document is synced, too', async () => {
  const client = connect(broker, 'doc:empty');
  await synced(client);
  client.close();
});

test('what was written offline comes along, and what was missed', async () => {
  const [a, b] = [connect(broker, 'doc:offline'), connect(broker, 'doc:offline')];
  await Promise.all([synced(a), synced(b)]);
  a.doc.getText('text').insert(0, 'base ');
  await converged([a.doc, b.doc]);
  b.provider.disconnect();
  await until(() => !b.provider.wsconnected, 'gone');
  b.doc.getText('text').insert(0, 'from b ');
  a.doc.getText('text').delete(0, 2);
  a.doc.getText('text').insert(0, 'from a ');
  await sleep(50);
  b.provider.connect();
  await converged([a.doc, b.doc]);
  [a, b].forEach((client) => client.close());
});

test('names of rooms are what the address says', async () => {
  const a = connect(broker, 'doc:a/b ü');
  const b = connect(broker, 'doc:a%2Fb%20%C3%BC');
  await Promise.all([synced(a), synced(b)]);
  a.doc.getText('text').insert(0, 'x');
  await converged([a.doc, b.doc]);
  [a, b].forEach((client) => client.close());
});

test('awareness is seen at once, without echoes, and goes with its client', async () => {
  const clients = [1, 2, 3].map(() => connect(broker, 'doc:aware'));
  await Promise.all(clients.map(synced));
  const [a, b, c] = clients;
  a.provider.awareness.setLocalState({ name: 'ada' });
  const seen = (from, of) => from.provider.awareness.getStates().get(of.doc.clientID);
  await until(() => [b, c].every((client) => seen(client, a)?.name === 'ada'), 'b and c see a');
  const late = connect(broker, 'doc:aware');
  await until(() => seen(late, a)?.name === 'ada', 'a newcomer sees a');
  let heard = 0;
  b.provider.ws.addEventListener('message', ({ data }) => { heard += new Uint8Array(data)[0] === 1 ? 1 : 0; });
  for (let x = 0; x < 10; x += 1) {
    a.provider.awareness.setLocalStateField('x', x);
    await sleep(20);
  }
  await until(() => seen(b, a)?.x === 9, 'the last one');
  await sleep(200);
  assert.ok(heard <= 11, `${heard} messages for 10 changes`);
  a.provider.disconnect();
  await until(() => !seen(b, a) && !seen(c, a), 'a is gone', 2_000);
  clients.concat(late).forEach((client) => client.close());
});

test('who is back in time was never gone, and who was removed is seen again at once', async () => {
  const [a, b] = [connect(broker, 'doc:back'), connect(broker, 'doc:back')];
  a.provider.awareness.setLocalState({ name: 'ada' });
  const seen = () => b.provider.awareness.getStates().has(a.doc.clientID);
  await until(seen, 'seen');
  let removals = 0;
  b.provider.awareness.on('change', ({ removed }) => { removals += removed.length; });
  a.provider.ws.terminate();
  await until(() => !a.provider.wsconnected, 'broken');
  await until(() => a.provider.wsconnected, 'back');
  await sleep(4_500);
  assert.equal(removals, 0);
  // Away for longer than the grace, with the same clock.
  a.provider.shouldConnect = false;
  a.provider.ws.terminate();
  await until(() => !seen(), 'removed', 6_000);
  const back = Date.now();
  a.provider.connect();
  await until(seen, 'seen again', 3_000);
  assert.ok(Date.now() - back < 3_000);
  [a, b].forEach((client) => client.close());
});

/** Frames and the close of a bare connection. */
async function bare(url, protocols) {
  const socket = new WebSocket(url, protocols);
  const heard = { frames: [], closed: null, socket };
  socket.on('message', (data) => heard.frames.push(Buffer.from(data).toString('hex')));
  socket.on('close', (code, reason) => { heard.closed = { code, reason: reason.toString() }; });
  await new Promise((resolve, reject) => { socket.on('open', resolve); socket.on('error', reject); });
  return heard;
}

test('what is no message ends the connection in a way that providers understand', async () => {
  for (const frame of ['00', '0000 05ffffff8001', '0002 0bffffff8001010004800174', '0100ff', '000203010203', '01 03 01 01 01 7b']) {
    const heard = await bare(`${broker.yjs}/doc:bare`);
    heard.socket.send(Buffer.from(frame.replaceAll(' ', ''), 'hex'));
    await until(() => heard.closed, `${frame} is refused`);
    assert.equal(heard.closed.code, 4400, frame);
  }
  const text = await bare(`${broker.yjs}/doc:bare`);
  text.socket.send('hello');
  await until(() => text.closed, 'text is refused');
  assert.equal(text.closed.code, 4400);
  const other = await bare(`${broker.yjs}/chat:lobby`);
  await until(() => other.closed, 'a log is no document');
  assert.equal(other.closed.code, 4400);
  assert.match(other.closed.reason, /document/);
  const chosen = await bare(`${broker.yjs}/doc:bare`, ['one', 'two']);
  assert.equal(chosen.socket.protocol, 'one');
  chosen.socket.close();
});

test('a silent room hears something before a provider gives up', { timeout: 60_000 }, async () => {
  const client = connect(broker, 'doc:silent');
  client.provider.awareness.setLocalState(null);
  await synced(client);
  let connections = 0;
  client.provider.on('status', ({ status }) => { connections += status === 'connected' ? 1 : 0; });
  await sleep(35_000);
  assert.equal(connections, 0, 'the provider stayed connected');
  assert.ok(client.provider.wsconnected);
  client.close();
});
