// What providers ask before they send events, and what they want to hear.
import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { after, before, test } from 'node:test';
import { CloudEvent, HTTP } from 'cloudevents';
import { Listener, seconds, send, startBroker } from './support.mjs';

const keys = generateKeyPairSync('ed25519');
const publicKey = keys.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');
const config = `
[[source]]
name = 'slack'
provider = 'slack'
secret_env = 'SECRET'
[[source]]
name = 'discord'
provider = 'discord'
public_key = '${publicKey}'
[[source]]
name = 'discord-events'
provider = 'discord-events'
public_key = '${publicKey}'
[[source]]
name = 'meta'
provider = 'meta'
secret_env = 'SECRET'
challenge_token_env = 'VERIFY_TOKEN'
[[source]]
name = 'events'
provider = 'cloudevents'
secret_env = 'SECRET'
[[source]]
name = 'crm'
provider = 'salesforce'
expect = '00Dx0000000oXYZEA2'
path_token_env = 'PATH_TOKEN'
[[source]]
name = 'repo'
provider = 'github'
secret_env = 'SECRET'
`;
const TOKEN = '0123456789abcdefghijkl';

let broker;
before(async () => {
  broker = await startBroker(config, { SECRET: 'secret', VERIFY_TOKEN: 'verify me', PATH_TOKEN: TOKEN });
});
after(() => broker.end());

async function listen(t, topic) {
  const listener = await Listener.open(broker, topic);
  t.after(() => listener.close());
  return listener;
}

test('Slack: the challenge, once it is signed', async (t) => {
  const listener = await listen(t, 'webhook:slack');
  const body = JSON.stringify({ token: 'x', challenge: '3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P', type: 'url_verification' });
  const at = String(seconds());
  const signature = `v0=${createHmac('sha256', 'secret').update(`v0:${at}:${body}`).digest('hex')}`;
  const headers = { 'content-type': 'application/json', 'x-slack-request-timestamp': at, 'x-slack-signature': signature };
  const answer = await send(broker, '/in/slack', { headers, body });
  assert.deepEqual([answer.status, answer.headers['content-type'], answer.body], [200, 'text/plain; charset=utf-8', '3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P']);
  const unsigned = await send(broker, '/in/slack', { headers: { ...headers, 'x-slack-signature': 'v0=00' }, body });
  assert.equal(unsigned.status, 401);
  assert.deepEqual(await listener.rest(), []);
});

test('Slack: a command and a button', async (t) => {
  const listener = await listen(t, 'webhook:slack');
  for (const [fields, event] of [
    [{ command: '/deploy', text: 'now', trigger_id: '1.2.3' }, '/deploy'],
    [{ payload: JSON.stringify({ type: 'block_actions', trigger_id: '1.2.4', actions: [{ value: 'yes' }] }) }, 'block_actions'],
  ]) {
    const body = new URLSearchParams(fields).toString();
    const at = String(seconds());
    const signature = `v0=${createHmac('sha256', 'secret').update(`v0:${at}:${body}`).digest('hex')}`;
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'x-slack-request-timestamp': at, 'x-slack-signature': signature };
    assert.equal((await send(broker, '/in/slack', { headers, body })).status, 200);
    const message = await listener.next();
    assert.equal(message.event, event);
    assert.deepEqual(message.data, fields.payload ? JSON.parse(fields.payload) : fields);
  }
});

function discord(path, body, change = (signature) => signature) {
  const at = String(seconds());
  const signature = sign(null, Buffer.from(at + body), keys.privateKey).toString('hex');
  const headers = { 'content-type': 'application/json', 'x-signature-timestamp': at, 'x-signature-ed25519': change(signature) };
  return send(broker, path, { headers, body });
}

test('Discord: pings, and the bad signatures it sends now and then', async (t) => {
  const listener = await listen(t, 'webhook:discord');
  const ping = await discord('/in/discord', '{"type":1,"id":"1"}');
  assert.deepEqual([ping.status, ping.headers['content-type'], ping.body], [200, 'application/json', '{"type":1}']);
  const event = await discord('/in/discord-events', '{"version":1,"type":0}');
  assert.deepEqual([event.status, event.headers['content-type'], event.body], [204, 'application/json', '']);
  for (const wrong of ['00'.repeat(64), 'zz', '', '00']) {
    assert.equal((await discord('/in/discord', '{"type":1,"id":"1"}', () => wrong)).status, 401, wrong);
  }
  assert.deepEqual(await listener.rest(), []);
});

test('Meta: the challenge by GET', async () => {
  const ask = (token) => send(broker, `/in/meta?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=${token}`, { method: 'GET' });
  const answer = await ask('verify+me');
  assert.deepEqual([answer.status, answer.body], [200, '1158201444']);
  assert.equal((await ask('guess')).status, 401);
  assert.equal((await send(broker, '/in/meta', { method: 'GET' })).status, 401);
  const deliveries = await send(broker, '/v1/deliveries?source=meta', { method: 'GET' });
  assert.ok(!deliveries.body.includes('verify+me'), deliveries.body);
});

test('CloudEvents: the handshake, and the three modes of its library', async (t) => {
  const listener = await listen(t, 'webhook:events');
  const asked = await send(broker, '/in/events', { method: 'OPTIONS', headers: { 'WebHook-Request-Origin': 'eventemitter.example.com' } });
  assert.equal(asked.status, 200);
  assert.equal(asked.headers['webhook-allowed-origin'], 'eventemitter.example.com');
  assert.equal(asked.headers.allow, 'POST');
  const event = () => new CloudEvent({ source: '/shop', type: 'order.created', data: { n: 1 } });
  for (const encode of [HTTP.binary, HTTP.structured]) {
    const { headers, body } = encode(event());
    assert.equal((await send(broker, '/in/events', { headers, body })).status, 401);
    const answer = await send(broker, '/in/events', { headers: { ...headers, authorization: 'Bearer secret' }, body });
    assert.equal(answer.status, 202);
    const message = await listener.next();
    assert.equal(message.event, 'order.created');
    assert.equal((message.data.data ?? message.data).n, 1);
  }
  const batch = JSON.stringify([event(), event()]);
  const headers = { 'content-type': 'application/cloudevents-batch+json' };
  assert.equal((await send(broker, '/in/events?access_token=secret', { headers, body: batch })).status, 202);
  assert.deepEqual([(await listener.next()).index, (await listener.next()).index], [0, 1]);
});

const soap = (organization, ...ids) => `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
 <soapenv:Body>
  <notifications xmlns="http://soap.sforce.com/2005/09/outbound">
   <OrganizationId>${organization}</OrganizationId>
   <ActionId>04kx00000000001</ActionId>
   <SessionId>00Dx0000!secret</SessionId>
   ${ids.map((id) => `<Notification><Id>${id}</Id><sObject xsi:type="sf:Lead" xmlns:sf="urn:sobject.enterprise.soap.sforce.com"><sf:Id>00Q1</sf:Id><sf:Email>a@example.com</sf:Email></sObject></Notification>`).join('')}
  </notifications>
 </soapenv:Body>
</soapenv:Envelope>`;

test('Salesforce: leads, acknowledged as it wants', async (t) => {
  const listener = await listen(t, 'webhook:crm');
  const headers = { 'content-type': 'text/xml; charset=utf-8', soapaction: '""' };
  const post = (body, path = `/in/crm/${TOKEN}`) => send(broker, path, { headers, body });
  const ids = [randomUUID(), randomUUID()];
  const answer = await post(soap('00Dx0000000oXYZEA2', ...ids));
  assert.equal(answer.status, 200);
  assert.match(answer.body, /<notificationsResponse xmlns="http:\/\/soap.sforce.com\/2005\/09\/outbound"><Ack>true<\/Ack>/);
  assert.match(answer.headers['content-type'], /^text\/xml/);
  for (const id of ids) {
    const message = await listener.next();
    assert.deepEqual(message.data, { Id: id, sObject: { type: 'Lead', Id: '00Q1', Email: 'a@example.com' } });
    assert.equal(message.event, 'Lead');
  }
  // One of them again, with a new one: only that one is new.
  const fresh = randomUUID();
  assert.equal((await post(soap('00Dx0000000oXYZEA2', ids[0], fresh))).status, 200);
  assert.equal((await listener.next()).data.Id, fresh);
  assert.deepEqual(await listener.rest(), []);
  assert.equal((await post(soap('00Dx0000000other', randomUUID()))).status, 401);
  assert.equal((await post('<no xml', `/in/crm/${TOKEN}`)).status, 401);
  assert.equal((await post(soap('00Dx0000000oXYZEA2', randomUUID()), '/in/crm')).status, 404);
});

test('GitHub: the ping of a new webhook arrives, as JSON and as a form', async (t) => {
  const listener = await listen(t, 'webhook:repo');
  const body = JSON.stringify({ zen: 'Design for failure.', hook_id: 30 });
  const form = new URLSearchParams({ payload: JSON.stringify({ zen: 'Keep it logically awesome.', hook_id: 31 }) }).toString();
  for (const [type, content] of [['application/json', body], ['application/x-www-form-urlencoded', form]]) {
    const signature = `sha256=${createHmac('sha256', 'secret').update(content).digest('hex')}`;
    const headers = { 'content-type': type, 'x-github-event': 'ping', 'x-github-delivery': randomUUID(), 'x-hub-signature-256': signature };
    assert.equal((await send(broker, '/in/repo', { headers, body: content })).status, 200);
    const message = await listener.next();
    assert.equal(message.event, 'ping');
    assert.match(message.data.zen, /\./);
  }
});
