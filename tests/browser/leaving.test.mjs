// Pages that are left: a browser keeps them as they were, and they must hold nothing that the next page needs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openTab, startBroker, startBrowser } from './support.mjs';

// Playwright's browsers keep no pages by default; people's do.
let browser;
before(async () => { browser = await startBrowser({ ignoreDefaultArgs: ['--disable-back-forward-cache'] }); });
after(() => browser.close());

const connections = async (broker) => (await (await fetch(`${broker.http}/v1/connections`)).json()).count;

/** Something that the view says once it has been answered. */
const SEEN = {
  overview: '[aria-label="Busiest topics"] tbody tr',
  topics: 'tbody tr',
  messages: '.messages > li',
  configuration: 'tbody tr',
};

test('a tab goes through the console by whole pages as often as it likes', async (t) => {
  const broker = await startBroker(t);
  await fetch(`${broker.http}/v1/topics/chat:a/messages`, { method: 'POST', body: '1', headers: { 'content-type': 'application/json' } });
  const tab = await openTab(t, browser, broker.http);
  for (let step = 0; step < 12; step += 1) {
    const view = Object.keys(SEEN)[step % 4];
    // Another query makes it another page; a change of the hash alone does not.
    await tab.goto(`${broker.http}/?page=${step}#/${view}${view === 'messages' ? '/chat%3Aa' : ''}`, { timeout: 10_000 });
    await tab.locator('#status.up').waitFor({ timeout: 10_000 });
    await tab.locator(SEEN[view]).first().waitFor({ timeout: 10_000 });
  }
});

test('a page that comes back is live again', async (t) => {
  const broker = await startBroker(t);
  const tab = await openTab(t, browser, `${broker.http}/?page=1#/overview`);
  await tab.locator('#status.up').waitFor();
  await tab.evaluate(() => addEventListener('pageshow', ({ persisted }) => { globalThis.kept = persisted; }));
  await tab.goto(`${broker.http}/?page=2#/topics`);
  await tab.locator('#status.up').waitFor();
  await tab.goBack({ waitUntil: 'commit' });
  await tab.waitForFunction(() => globalThis.kept === true);
  await fetch(`${broker.http}/v1/topics/chat:later/messages`, { method: 'POST', body: '1', headers: { 'content-type': 'application/json' } });
  await tab.getByRole('link', { name: 'chat:later' }).waitFor();
});

test('a demo that is left holds no connection, and has one again when it comes back', async (t) => {
  const broker = await startBroker(t);
  const tab = await openTab(t, browser, `${broker.http}/demos/chat.html`);
  await tab.getByText('connected').waitFor();
  for (const room of ['b', 'c', 'd']) {
    await tab.goto(`${broker.http}/demos/chat.html?room=${room}`);
    await tab.getByText('connected').waitFor();
  }
  const deadline = Date.now() + 10_000;
  while (await connections(broker) !== 1) assert.ok(Date.now() < deadline, 'pages that were left are still connected');
  await tab.goBack({ waitUntil: 'commit' });
  await tab.getByText('#c').waitFor();
  await tab.getByText('connected').waitFor();
  await tab.fill('#text', 'back');
  await tab.press('#text', 'Enter');
  await tab.locator('#log li:not(.waiting)').getByText('back').waitFor();
});

test('a list that is not answered says that it loads, and one that fails says so', async (t) => {
  const broker = await startBroker(t);
  const tab = await openTab(t, browser, `${broker.http}/#/overview`, { mayFail: true });
  await tab.locator('#status.up').waitFor();
  let answer;
  await tab.route('**/v1/config', (route) => { answer = route; });
  await tab.evaluate(() => { location.hash = '#/configuration'; });
  await tab.getByText('loading…').waitFor();
  assert.equal(await tab.locator('table').first().isVisible(), false);
  await answer.abort();
  await tab.getByText('The configuration could not be loaded: the broker cannot be reached.').waitFor();
  assert.equal(await tab.getByText('loading…').isVisible(), false);
});
