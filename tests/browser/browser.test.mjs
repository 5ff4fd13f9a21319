// fanwire as a browser sees it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { openTab, startBroker, startBrowser, startPage } from './support.mjs';

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser.close());

const run = promisify(execFile);
const get = async (url) => (await fetch(url)).json();

/** What a page sees of each way in. */
const probe = ({ http, ws }) => {
  const socket = new Promise((resolve) => {
    const opened = new WebSocket(ws, 'fanwire.v1.json');
    opened.onmessage = () => resolve('open');
    opened.onerror = () => resolve('refused');
  });
  const stream = new Promise((resolve) => {
    const source = new EventSource(`${http}/v1/events?topic=chat:a`);
    source.addEventListener('subscribed', () => { source.close(); resolve('open'); });
    source.onerror = () => { source.close(); resolve('refused'); };
  });
  const publish = (headers) => fetch(`${http}/v1/topics/chat:a/messages`, { method: 'POST', body: '1', headers })
    .then((response) => response.status, () => 'refused');
  return Promise.all([socket, stream, publish({}), publish({ 'Message-Id': 'x' })]);
};

test('a page of another origin gets through only where allowed', async (t) => {
  const page = await startPage(t);
  const nothing = ['refused', 'refused', 'refused', 'refused'];
  const cases = [
    ['', nothing],
    ['allowed_origins = ["https://app.example"]', nothing],
    [`allowed_origins = ["${new URL(page).origin}"]`, ['open', 'open', 200, 200]],
  ];
  for (const [configuration, expected] of cases) {
    // On loopback every page of this machine may come in; a public broker looks closer.
    const broker = await startBroker(t, `insecure = true\n${configuration}\n`, '0.0.0.0:0');
    const tab = await openTab(t, browser, page, { mayFail: true });
    assert.deepEqual(await tab.evaluate(probe, { http: broker.http, ws: broker.ws }), expected, configuration);
  }
});

test('EventSource resumes after its connection broke', async (t) => {
  const broker = await startBroker(t);
  const tab = await openTab(t, browser, broker.http);
  await tab.evaluate(() => {
    globalThis.got = [];
    globalThis.recovered = [];
    const source = new EventSource('/v1/events?topic=chat:a');
    source.onmessage = ({ data }) => globalThis.got.push(JSON.parse(data).data);
    source.addEventListener('subscribed', ({ data }) => globalThis.recovered.push(JSON.parse(data).recovered ?? 'first'));
  });
  const publish = (value) => run('curl', ['-sS', '-d', String(value), `${broker.http}/v1/topics/chat:a/messages`]);
  await tab.waitForFunction(() => globalThis.recovered.length === 1);
  await publish(1);
  await tab.waitForFunction(() => globalThis.got.length === 1);
  const { members } = await get(`${broker.http}/v1/topics/chat:a/presence`);
  assert.equal(members.length, 1);
  // The stream ends, and the browser comes back after the time that it was told to wait.
  const ended = await run('curl', ['-sS', '--json', JSON.stringify({ client: members[0].client }), `${broker.http}/v1/disconnect`]);
  assert.deepEqual(JSON.parse(ended.stdout), { count: 1 });
  await publish(2);
  await publish(3);
  await tab.waitForFunction(() => globalThis.recovered.length === 2);
  await publish(4);
  await tab.waitForFunction(() => globalThis.got.length >= 4);
  assert.deepEqual(await tab.evaluate(() => globalThis.recovered), ['first', true]);
  assert.deepEqual(await tab.evaluate(() => globalThis.got), [1, 2, 3, 4]);
});
