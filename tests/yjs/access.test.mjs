// Who may come in, who may write; and others who work on the same document: over HTTP and the native protocol.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import * as Y from 'yjs';
import { connect, converged, sleep, startBroker, synced, until } from './support.mjs';

const SECRET = 'a secret of at least thirty-two bytes';

function token(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ exp: Math.floor(Date.now() / 1000) + 60, ...claims })}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

let open;
let guarded;
before(async () => {
  open = await startBroker();
  guarded = await startBroker({
    configuration: `auth_hmac_secret = "${SECRET}"\nping_s = 1\npong_timeout_s = 1\n[[rule]]\npattern = "doc:**"\nkind = "document"\n`,
  });
});
after(() => Promise.all([open.stop(), guarded.stop()]));

/** The close that keeps a provider away. */
function refused(client) {
  return new Promise((resolve) => {
    client.provider.on('closed', (event) => resolve({ code: event.code, reason: event.reason }));
  });
}

test('without a token, or with one for other documents, a provider stays away', async () => {
  const cases = [
    [{}, 4401],
    [{ token: 'nonsense' }, 4401],
    [{ token: token({ sub: 'ada', exp: 1 }) }, 4401],
    [{ token: token({ sub: 'ada', subscribe: ['doc:other'] }) }, 4403],
  ];
  for (const [params, code] of cases) {
    const client = connect(guarded, 'doc:a', { params });
    assert.equal((await refused(client)).code, code);
    client.close();
  }
});

test('who may only read sees everything and changes nothing', async () => {
  const writer = connect(guarded, 'doc:read', { params: { token: token({ sub: 'ada' }) } });
  const reader = connect(guarded, 'doc:read', { params: { token: token({ sub: 'bob', publish: ['doc:none'] }) } });
  await Promise.all([synced(writer), synced(reader)]);
  writer.doc.getText('text').insert(0, 'hello');
  await until(() => reader.doc.getText('text').toString() === 'hello', 'the reader sees it');
  reader.provider.awareness.setLocalState({ name: 'bob' });
  await until(() => writer.provider.awareness.getStates().has(reader.doc.clientID), 'the reader is seen');
  reader.doc.getText('text').insert(0, 'never ');
  writer.doc.getText('text').insert(5, '!');
  await until(() => reader.doc.getText('text').toString().includes('!'), 'the reader goes on reading');
  await sleep(200);
  assert.equal(writer.doc.getText('text').toString(), 'hello!');
  [writer, reader].forEach((client) => client.close());
});

test('a token that ends ends the connection, and a new one goes on', async () => {
  const short = { token: token({ sub: 'ada', exp: Math.floor(Date.now() / 1000) + 2 }) };
  const client = connect(guarded, 'doc:expiry', { params: short });
  await synced(client);
  short.token = token({ sub: 'ada' });
  const codes = [];
  client.provider.on('connection-close', (event) => codes.push(event?.code));
  await until(() => codes.length > 0, 'closed');
  assert.equal(codes[0], 4001);
  await until(() => client.provider.wsconnected && client.provider.synced, 'back with the new one');
  client.close();
});

test('an editor sees what is written over HTTP, and the other way round', async () => {
  const client = connect(open, 'doc:rest');
  await synced(client);
  const at = `${open.http}/v1/documents/doc:rest`;
  client.doc.getText('text').insert(0, 'one two three');
  const read = async () => (await fetch(at)).json();
  await until(async () => (await read()).text === 'one two three', 'HTTP has it');
  const version = await (await fetch(`${at}/versions`, { method: 'POST', body: '{"name":"before"}' })).json();
  await fetch(at, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{"text":"one 2 three","list":[1]}' });
  await until(() => client.doc.getText('text').toString() === 'one 2 three', 'the editor has it');
  assert.deepEqual(client.doc.getArray('list').toJSON(), [1]);
  await fetch(`${at}/restore`, { method: 'POST', body: JSON.stringify({ version: version.version }) });
  await until(() => client.doc.getText('text').toString() === 'one two three', 'it is back');
  // What the broker made, a fresh client reads as the first one does.
  const fresh = connect(open, 'doc:rest');
  await synced(fresh);
  await converged([client.doc, fresh.doc]);
  client.provider.awareness.setLocalState({ name: 'ada' });
  const states = async () => (await (await fetch(`${at}/awareness`)).json()).states;
  await until(async () => (await states()).some(({ state }) => state.name === 'ada'), 'awareness over HTTP');
  const gone = [refused(client), refused(fresh)];
  assert.equal((await fetch(at, { method: 'DELETE' })).status, 204);
  assert.deepEqual((await Promise.all(gone)).map(({ code }) => code), [4404, 4404]);
  assert.deepEqual(await read(), {});
  [client, fresh].forEach((one) => one.close());
});

test('the native protocol and an editor are in the same document', async () => {
  const client = connect(open, 'doc:native');
  await synced(client);
  const doc = new Y.Doc();
  const socket = new WebSocket(open.ws, 'fanwire.v1.json');
  await new Promise((resolve) => socket.on('open', resolve));
  const events = [];
  socket.on('message', (data) => {
    for (const event of [JSON.parse(data)].flat()) {
      events.push(event);
      if (event.type === 'message') Y.applyUpdate(doc, Buffer.from(event.b64, 'base64'), 'remote');
    }
  });
  const say = (command) => socket.send(JSON.stringify(command));
  doc.on('update', (update, origin) => {
    if (origin !== 'remote') say({ type: 'publish', id: 2, topic: 'doc:native', b64: Buffer.from(update).toString('base64') });
  });
  client.doc.getText('text').insert(0, 'from the editor');
  say({ type: 'subscribe', id: 1, topic: 'doc:native', presence: true });
  await until(() => doc.getText('text').toString() === 'from the editor', 'the native client has it');
  assert.equal(events.find(({ id }) => id === 1).members.length, 2, 'the editor is a member');
  doc.getText('text').insert(0, 'native, ');
  await until(() => client.doc.getText('text').toString() === 'native, from the editor', 'the editor has it');
  await converged([client.doc, doc]);
  socket.close();
  client.close();
});
