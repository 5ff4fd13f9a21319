// The console in the face of names and payloads that somebody chose to harm it, and of very many topics.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openTab, startBroker, startBrowser } from './support.mjs';

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser.close());

const NAMES = [
  '<img src=x onerror="globalThis.hit=1">',
  '<script>globalThis.hit=1</script>',
  'rtl:\u202Etxt.exe\u2066',
  'line:\u2028break\u2029s',
  'quotes:"\'`&amp;&#60;',
  'path:../../v1/config?x=1#y',
  'javascript:globalThis.hit=1',
  '__proto__',
  `long:${'x'.repeat(195)}`,
  `wide:${'漢'.repeat(60)}`,
  'family:👩‍👩‍👧‍👦 ',
];

const deep = `${'['.repeat(100)}1${']'.repeat(100)}`;

/** Content types and bodies. */
const BODIES = [
  ['application/json', JSON.stringify({ html: '<img src=x onerror="globalThis.hit=1">', '<b>key</b>': 1 })],
  ['application/json', '{"__proto__":{"hit":1},"constructor":null,"toString":1}'],
  ['application/json', deep],
  ['application/json', `{"big":12345678901234567890,"tiny":1e-300,"text":"${'x'.repeat(15_000)}"}`],
  ['application/json', JSON.stringify(Array.from({ length: 3_000 }, (_, n) => n))],
  ['application/json', '"a line\u2028break and \\u0000"'],
  ['text/plain', '\u202Egnihtyna \u0007\u001b[31m'],
  ['application/octet-stream', new Uint8Array(4_000).map((_, n) => n)],
];

const publish = (broker, topic, type, body) => fetch(`${broker.http}/v1/topics/${encodeURIComponent(topic)}/messages`, { method: 'POST', body, headers: { 'content-type': type } });

const unhurt = async (tab) => assert.deepEqual(await tab.evaluate(() => [globalThis.hit, {}.hit, document.querySelectorAll('main img, main script').length]), [undefined, undefined, 0]);

const WIDTHS = [1280, 390];

/** Nothing is wider than the page. */
const fits = async (tab, what) => {
  for (const width of WIDTHS) {
    await tab.setViewportSize({ width, height: 800 });
    const wide = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wide <= 0, `${what} is ${wide} too wide for ${width}`);
  }
};

test('names are text and nothing else, wherever they stand', async (t) => {
  const broker = await startBroker(t);
  for (const name of NAMES) assert.equal((await publish(broker, name, 'application/json', '1')).status, 200, name);
  const tab = await openTab(t, browser, `${broker.http}/#/topics`);
  await tab.waitForFunction((count) => document.querySelectorAll('tbody tr').length === count, NAMES.length);
  assert.deepEqual((await tab.locator('tbody th a').allTextContents()).sort(), [...NAMES].sort());
  await fits(tab, 'the list');
  for (const name of NAMES) {
    await tab.goto(`${broker.http}/#/topics`);
    await tab.locator(`tbody th a[href="#/topics/${encodeURIComponent(name)}"]`).click();
    await tab.waitForFunction((wanted) => document.querySelector('h1.mono')?.textContent === wanted, name);
    await tab.locator('.messages > li').waitFor();
    await fits(tab, name);
  }
  await tab.goto(`${broker.http}/#/`);
  await tab.waitForFunction(() => document.querySelectorAll('[aria-label="Busiest topics"] tbody tr').length === 8);
  await fits(tab, 'the overview');
  await unhurt(tab);
});

test('payloads are text and nothing else, whatever is in them', async (t) => {
  const broker = await startBroker(t);
  const tab = await openTab(t, browser, `${broker.http}/#/messages`);
  await tab.getByText('live', { exact: true }).waitFor();
  for (const [type, body] of BODIES) assert.equal((await publish(broker, 'chat:a', type, body)).status, 200, String(body).slice(0, 50));
  const lines = tab.locator('.messages > li');
  await tab.waitForFunction((count) => document.querySelectorAll('.messages > li').length === count, BODIES.length);
  for (let index = 0; index < BODIES.length; index += 1) {
    await lines.nth(index).locator('summary').first().click();
    await lines.nth(index).locator('.body').first().waitFor();
  }
  // A tree of a hundred levels opens level by level.
  const tree = lines.nth(BODIES.length - 1 - 2).locator('.json');
  for (let level = 1; level < 20; level += 1) await tree.locator('details:not([open]) > summary').first().click();
  await fits(tab, 'the list of messages');
  await unhurt(tab);
});

test('an address that is damaged shows something all the same', async (t) => {
  const broker = await startBroker(t);
  await publish(broker, 'chat:a', 'application/json', '1');
  for (const hash of ['#/topics/%E0%A4', '#/messages/%', '#/nowhere', '#/constructor', '#/__proto__/x', '#//']) {
    const tab = await openTab(t, browser, `${broker.http}/${hash}`);
    await tab.locator('main h1').first().waitFor({ state: 'attached' });
    await tab.waitForFunction(() => document.getElementById('status').className === 'up');
    await tab.close();
  }
});

test('ten thousand topics are found as fast as one', async (t) => {
  const broker = await startBroker(t);
  for (let from = 0; from < 10_000; from += 1_000) {
    const messages = Array.from({ length: 1_000 }, (_, n) => ({ topic: `many:${from + n}`, data: n }));
    const answer = await fetch(`${broker.http}/v1/publish`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ messages }) });
    assert.equal(answer.status, 200);
  }
  const tab = await openTab(t, browser, `${broker.http}/#/topics`);
  await tab.getByText('first 100 of 10,000').waitFor();
  await tab.getByLabel('Find').fill('many:9999');
  await tab.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
  await tab.getByRole('link', { name: 'many:9999' }).click();
  await tab.locator('.messages > li').waitFor();
});
