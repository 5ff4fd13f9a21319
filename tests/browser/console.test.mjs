// The console: true figures, live; by keyboard, on a phone, behind a key.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { openTab, startBroker, startBrowser } from './support.mjs';

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser.close());

const VIEWS = ['Overview', 'Topics', 'Connections', 'Messages', 'Deliveries', 'Configuration'];

const publish = (broker, topic, data, headers = {}) => fetch(`${broker.http}/v1/topics/${topic}/messages`, { method: 'POST', body: JSON.stringify(data), headers: { 'content-type': 'application/json', ...headers } });

const publishMany = (broker, topic, count) => fetch(`${broker.http}/v1/publish`, {
  method: 'POST', headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ messages: Array.from({ length: count }, (_, n) => ({ topic, data: { n } })) }),
});

/** A subscriber that counts; it ends with the test. */
async function subscriber(t, broker, topic) {
  const stop = new AbortController();
  const response = await fetch(`${broker.http}/v1/events?topic=${topic}`, { signal: stop.signal });
  t.after(() => stop.abort());
  (async () => { for await (const _ of response.body); })().catch(() => {});
}

/** The big number on a tile of the overview. */
const figure = (tab, label) => tab.locator('.tile', { hasText: label }).locator('dd > span').first().textContent();
const under = (tab, label) => tab.locator('.tile', { hasText: label }).locator('.under span');

test('the overview shows what happens, and the numbers are true', async (t) => {
  const broker = await startBroker(t);
  const tab = await openTab(t, browser, broker.http);
  await tab.getByText('No topics yet').waitFor();
  for (const _ of [1, 2, 3]) await subscriber(t, broker, 'chat:a');
  await publishMany(broker, 'chat:a', 500);
  await publishMany(broker, 'chat:b', 120);
  await under(tab, 'Messages in').getByText('620 since start').waitFor();
  await under(tab, 'Messages delivered').getByText('1,500 since start').waitFor();
  assert.equal(await figure(tab, 'Connections'), '3');
  assert.equal(await figure(tab, 'Topics'), '2');
  const row = tab.locator('tbody tr', { hasText: 'chat:a' });
  assert.deepEqual(await row.locator('td').allTextContents().then((cells) => cells.slice(0, 2)), ['log', '3']);
  await tab.waitForFunction(() => document.querySelector('.tile .curve').getAttribute('d').length > 20);
  // Quiet again: the rates go down to nothing by themselves.
  await tab.waitForFunction(() => document.querySelector('.tile dd > span').textContent === '0');
  // A refusal shows up as trouble.
  await publish(broker, 'ticker:x%2A', 1);
  await publish(broker, 'chat:a', 1, { 'Message-Key': 'k' });
  await tab.waitForFunction(() => [...document.querySelectorAll('[aria-label=Trouble] tr')].some((one) => one.textContent.startsWith('Publishes refused') && one.lastElementChild.textContent !== '0'));
});

test('topics are found, opened, and show what they hold and who is there', async (t) => {
  const broker = await startBroker(t);
  await subscriber(t, broker, 'chat:lobby');
  await publish(broker, 'chat:lobby', { text: 'held', nested: { deep: [1, { two: null }] } });
  await publish(broker, 'ticker:x', 1);
  const tab = await openTab(t, browser, `${broker.http}/#/topics`);
  await tab.getByRole('link', { name: 'ticker:x' }).waitFor();
  await tab.getByLabel('Find').fill('chat:*');
  await tab.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
  await tab.getByRole('link', { name: 'chat:lobby' }).click();
  await tab.getByText('1,000 messages, 10 min or 4.0 MiB').waitFor();
  await tab.locator('.messages summary').click();
  await tab.locator('.json').getByText('"held"').waitFor();
  await tab.locator('.json summary', { hasText: '1 field' }).first().click();
  await tab.locator('.json').getByText('"deep"').waitFor();
  assert.equal(await tab.locator('li.tag').count(), 1);
});

test('connections are listed with what they do, and can be ended', async (t) => {
  const broker = await startBroker(t);
  await subscriber(t, broker, 'chat:a');
  const tab = await openTab(t, browser, `${broker.http}/#/connections`);
  await tab.evaluate((url) => new Promise((resolve) => {
    globalThis.socket = new WebSocket(url, 'fanwire.v1.json');
    globalThis.socket.onopen = () => { globalThis.socket.send('{"type":"subscribe","topic":"chat:b"}'); resolve(); };
    globalThis.socket.onclose = ({ code }) => { globalThis.endedWith = code; };
  }), broker.ws);
  await tab.locator('tbody tr').nth(1).waitFor();
  await tab.getByRole('searchbox', { name: 'On' }).fill('chat:b');
  await tab.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
  assert.match(await tab.locator('tbody tr').textContent(), /native · json127\.0\.0\.1chat:b0 B/);
  const end = tab.locator('tbody').getByRole('button');
  await end.click();
  await end.getByText('Sure?').waitFor();
  await end.click();
  await tab.waitForFunction(() => globalThis.endedWith === 4002);
  await tab.getByText('No such connection').waitFor();
});

test('messages are watched by pattern, filtered, paused, and published', async (t) => {
  const broker = await startBroker(t);
  const tab = await openTab(t, browser, `${broker.http}/#/messages`);
  await tab.getByText('live', { exact: true }).waitFor();
  await publish(broker, 'chat:a', { text: 'from a terminal' });
  await publish(broker, 'ticker:b', 7, { 'Message-Key': 'BTC' });
  const lines = tab.locator('.messages > li');
  await lines.nth(1).waitFor();
  assert.match(await lines.first().textContent(), /ticker:b · BTC7/);
  await tab.getByLabel('Filter').fill('terminal');
  await tab.waitForFunction(() => document.querySelectorAll('.messages > li').length === 1);
  await tab.getByLabel('Filter').fill('');
  await tab.waitForFunction(() => document.querySelectorAll('.messages > li').length === 2);
  // Whoever opens a message is not disturbed by the next ones.
  await lines.nth(1).locator('summary').click();
  await publish(broker, 'chat:a', 'later');
  await tab.getByText('paused, 1 waiting').waitFor();
  assert.equal(await lines.count(), 2);
  await tab.getByRole('button', { name: 'Go on' }).click();
  await lines.nth(2).waitFor();
  // A topic alone begins with what it holds.
  await tab.getByLabel('Topics').fill('chat:a');
  await tab.getByRole('button', { name: 'Watch' }).click();
  await tab.waitForFunction(() => document.querySelectorAll('.messages > li').length === 2);
  const form = tab.locator('#publish');
  assert.equal(await form.getByLabel('Topic').inputValue(), 'chat:a');
  await form.getByLabel('Message').fill('typed here');
  await form.getByLabel('Message').press('Control+Enter');
  await form.getByText('Published at offset 3').waitFor();
  await lines.nth(2).waitFor();
  assert.match(await lines.first().textContent(), /"typed here"/);
  await form.getByLabel('Topic').fill('chat:*');
  await form.getByRole('button').click();
  await form.getByText('may not contain').waitFor();
});

test('more than can be shown is counted, not hidden', async (t) => {
  const broker = await startBroker(t);
  const tab = await openTab(t, browser, `${broker.http}/#/messages`);
  await tab.getByText('live', { exact: true }).waitFor();
  for (let round = 0; round < 4; round += 1) await publishMany(broker, 'chat:a', 1_000);
  await tab.locator('.notice', { hasText: 'messages were left out' }).waitFor();
  await tab.waitForFunction(() => document.querySelectorAll('.messages > li').length === 200);
});

test('the configuration has no secrets, and the console wants an admin key where there are credentials', async (t) => {
  const hash = (key) => createHash('sha256').update(key).digest('hex');
  const secret = 'a secret for these tests, long enough';
  const broker = await startBroker(t, `auth_hmac_secret = "${secret}"
[[key]]
name = "ops"
hash = "sha256:${hash('fwk_ops')}"
publish = ["**"]
subscribe = ["**"]
admin = true
[[key]]
name = "writer"
hash = "sha256:${hash('fwk_writer')}"
publish = ["**"]
`);
  const tab = await openTab(t, browser, `${broker.http}/#/configuration`);
  const field = tab.getByLabel('API key');
  await field.waitFor();
  await tab.waitForFunction(() => document.activeElement?.name === 'key');
  for (const wrong of ['fwk_nobody', 'fwk_writer']) {
    await field.fill(wrong);
    await field.press('Enter');
    await tab.getByText('That key was refused').waitFor();
  }
  await field.fill('fwk_ops');
  await field.press('Enter');
  await tab.getByText('(hidden)').waitFor();
  const shown = await tab.textContent('main');
  assert.ok(!shown.includes(secret) && shown.includes('max_message_bytes') && shown.includes('writer'));
  // The key is this tab's, for as long as it lives.
  assert.equal(await tab.evaluate(() => Object.keys(localStorage).length), 0);
  await tab.goto(`${broker.http}/#/overview`);
  await tab.reload();
  await tab.locator('#status.up').waitFor();
  assert.equal(await tab.getByText('Try it').isVisible(), false, 'demos need a broker without credentials');
  const other = await openTab(t, browser, broker.http);
  await other.getByLabel('API key').waitFor();
});

test('everything is reached by keyboard, and the focus is seen', async (t) => {
  const broker = await startBroker(t);
  await publish(broker, 'chat:a', 1);
  const tab = await openTab(t, browser, broker.http);
  await tab.locator('#status.up').waitFor();
  const reached = new Set();
  for (let step = 0; step < 25; step += 1) {
    await tab.keyboard.press('Tab');
    const focus = await tab.evaluate(() => {
      const element = document.activeElement, style = getComputedStyle(element);
      return { text: element === document.body ? '' : element.textContent.trim(), outlined: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 };
    });
    if (focus.text) reached.add(focus.text);
    assert.ok(focus.outlined || focus.text === '', `no outline on ${focus.text}`);
  }
  for (const name of ['Skip to content', ...VIEWS, 'All topics', 'chat:a']) assert.ok(reached.has(name), `${name} was not reached; ${[...reached]}`);
  await tab.getByRole('link', { name: 'Topics', exact: true }).focus();
  await tab.keyboard.press('Enter');
  await tab.waitForFunction(() => location.hash === '#/topics');
  assert.equal(await tab.getByRole('link', { name: 'Topics', exact: true }).getAttribute('aria-current'), 'page');
  // The theme: as the system says, light, dark; kept.
  const theme = tab.locator('#theme');
  await theme.focus();
  for (const expected of ['light', 'dark']) {
    await tab.keyboard.press('Enter');
    assert.equal(await tab.getAttribute('html', 'data-theme'), expected);
  }
  await tab.reload();
  assert.equal(await tab.getAttribute('html', 'data-theme'), 'dark');
});

for (const colorScheme of ['light', 'dark']) {
  test(`every view fits a phone, with readable text (${colorScheme})`, async (t) => {
    const broker = await startBroker(t, '[[source]]\nname = "payments"\nprovider = "stripe"\nsecret_env = "PAYMENTS"\n[[rule]]\npattern = "chat:**"\n', '127.0.0.1:0', [], { PAYMENTS: 'whsec_demo' });
    await subscriber(t, broker, 'chat:a');
    await fetch(`${broker.http}/in/payments`, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json', 'stripe-signature': 't=1,v1=aa' } });
    await publish(broker, 'chat:a', { text: 'x'.repeat(300) });
    await publish(broker, `chat:${'long-name-'.repeat(15)}`, 1);
    const tab = await openTab(t, browser, broker.http, { viewport: { width: 390, height: 844 }, colorScheme });
    await tab.locator('#status.up').waitFor();
    for (const hash of [...VIEWS.map((view) => view.toLowerCase()), 'topics/chat%3Aa']) {
      await tab.evaluate((to) => { location.hash = `#/${to}`; }, hash);
      await tab.waitForFunction(() => document.querySelector('#view').childElementCount === 1);
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.equal(await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, `${hash} is too wide`);
      assert.deepEqual(await tab.evaluate(() => [...document.querySelectorAll('.scroll')].filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent.slice(0, 80))), [], `tables cut off on ${hash}`);
      assert.deepEqual(await tab.evaluate(faintTexts), [], `contrast on ${hash}`);
    }
  });
}

/** Texts with less contrast to what is behind them than WCAG 2.2 AA asks for (4.5), 3 for large ones. */
function faintTexts() {
  const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] > 200) return colour;
    }
    return [255, 255, 255, 255];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility({ visibilityProperty: true }) || element.closest('.skip, .unseen, noscript')) continue;
    const style = getComputedStyle(element), back = behind(element);
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
    const front = rgba(style.color).slice(0, 3).map((value, index) => value * opacity + back[index] * (1 - opacity));
    const [high, low] = [luminance(front), luminance(back)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) faint.push(`${text.slice(0, 30)}: ${ratio.toFixed(1)}`);
  }
  return [...new Set(faint)];
}

test('a console that loses its broker says so, and goes on when it is back', async (t) => {
  const first = await startBroker(t);
  const tab = await openTab(t, browser, first.http);
  await tab.locator('#status.up').waitFor();
  await first.kill();
  await tab.getByText('not connected, trying again').waitFor();
  await startBroker(t, undefined, `127.0.0.1:${first.port}`);
  await tab.locator('#status.up').waitFor();
});
