// The demos in real tabs: what a visitor tries first has to be true.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { openTab, scratch, startBroker, startBrowser, startWire } from './support.mjs';

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser.close());

/** A tab in the chat under a name. */
async function enterChat(t, http, name) {
  const tab = await openTab(t, browser, `${http}/demos/chat.html`);
  await tab.fill('#name', name);
  await tab.locator('#name').blur();
  await tab.getByText('connected').waitFor();
  return tab;
}

async function say(tab, text) {
  await tab.fill('#text', text);
  await tab.press('#text', 'Enter');
}

/** Says many things as fast as a page can. */
const sayMany = (tab, texts) => tab.evaluate((all) => {
  for (const text of all) {
    document.getElementById('text').value = text;
    document.querySelector('form').requestSubmit();
  }
}, texts);

/** What stands in the log and has its place, without name and time. */
const heard = (tab) => tab.$$eval('#log li:not(.waiting):not(.note)', (items) => items.map((item) => item.childNodes[1].textContent));
const notes = (tab) => tab.$$eval('#log .note', (items) => items.map((item) => item.textContent));
const hears = (tab, count) => tab.waitForFunction((wanted) => document.querySelectorAll('#log li:not(.waiting):not(.note)').length >= wanted, count);
const isOffline = (tab) => tab.waitForFunction(() => /offline|connecting/.test(document.getElementById('state').textContent));

const numbered = (from, to) => Array.from({ length: to - from }, (_, index) => `number ${from + index}`);

test('two tabs chat, see who is there and who types', async (t) => {
  const broker = await startBroker(t);
  const ada = await enterChat(t, broker.http, 'Ada'), grace = await enterChat(t, broker.http, 'Grace');
  await say(ada, 'hello');
  await say(grace, 'hi Ada');
  for (const tab of [ada, grace]) {
    await hears(tab, 2);
    assert.deepEqual(await heard(tab), ['hello', 'hi Ada']);
    await tab.getByText('2 here').waitFor();
  }
  await ada.locator('#members').getByText('Grace').waitFor();
  await grace.locator('#text').pressSequentially('so');
  await ada.getByText('Grace is typing').waitFor();
  await grace.context().close();
  await ada.getByText('1 here').waitFor();
});

test('a message that says no name is somebody’s', async (t) => {
  const broker = await startBroker(t);
  const ada = await enterChat(t, broker.http, 'Ada');
  const post = (body) => fetch(`${broker.http}/v1/topics/chat:lobby/messages`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
  await post('{"text":"hello"}');
  await post('"bare"');
  await hears(ada, 2);
  assert.deepEqual(await ada.$$eval('#log li', (items) => items.map((item) => item.firstChild.textContent.trim())), ['somebody', 'somebody']);
  assert.deepEqual(await heard(ada), ['hello', 'bare']);
});

test('a tab without connection has all 500 messages in order when it is back', async (t) => {
  const broker = await startBroker(t);
  const wire = await startWire(t, broker.port);
  const ada = await enterChat(t, broker.http, 'Ada'), grace = await enterChat(t, wire.http, 'Grace');
  await say(ada, 'number 0');
  await hears(grace, 1);
  wire.cut();
  await isOffline(grace);
  await sayMany(ada, numbered(1, 501));
  await hears(ada, 501);
  // What is said without a connection waits, and is sent once.
  await say(grace, 'I was away');
  assert.equal(await grace.locator('#log .waiting').count(), 1);
  wire.mend();
  await hears(grace, 502);
  const expected = [...numbered(0, 501), 'I was away'];
  assert.deepEqual(await heard(grace), expected);
  assert.deepEqual(await notes(grace), []);
  await hears(ada, 502);
  assert.deepEqual(await heard(ada), expected);
  assert.equal(await grace.locator('#log .waiting').count(), 0);
});

test('going offline and online by the button loses nothing either', async (t) => {
  const broker = await startBroker(t);
  const ada = await enterChat(t, broker.http, 'Ada'), grace = await enterChat(t, broker.http, 'Grace');
  await grace.click('#away');
  await isOffline(grace);
  await sayMany(ada, numbered(0, 20));
  await hears(ada, 20);
  await grace.click('#away');
  await hears(grace, 20);
  assert.deepEqual(await heard(grace), numbered(0, 20));
});

test('a broker that comes back without its memory is honest about it', async (t) => {
  const first = await startBroker(t);
  const wire = await startWire(t, first.port);
  const ada = await enterChat(t, wire.http, 'Ada'), grace = await enterChat(t, wire.http, 'Grace');
  await say(ada, 'before');
  await hears(grace, 1);
  await first.kill();
  wire.cut();
  const second = await startBroker(t);
  wire.mend(second.port);
  for (const tab of [ada, grace]) await tab.locator('#log .note').first().waitFor();
  assert.deepEqual(await notes(grace), ['What was said while you were away could not be recovered.']);
  await say(ada, 'after');
  await hears(grace, 2);
  assert.deepEqual(await heard(grace), ['before', 'after']);
});

test('a durable topic survives a broker that is killed: nothing is lost, nothing repeated', async (t) => {
  const directory = scratch(t);
  const start = () => startBroker(t, '[[rule]]\npattern = "chat:**"\ndurable = true\n[[rule]]\npattern = "game:**"\nkind = "volatile"\n', '127.0.0.1:0', ['--data-dir', directory]);
  const first = await start();
  const wire = await startWire(t, first.port);
  const ada = await enterChat(t, wire.http, 'Ada'), grace = await enterChat(t, wire.http, 'Grace');
  await sayMany(ada, numbered(0, 50));
  await hears(ada, 50);
  await hears(grace, 50);
  await first.kill();
  wire.cut();
  await isOffline(ada);
  await sayMany(ada, numbered(50, 100));
  const second = await start();
  wire.mend(second.port);
  for (const tab of [ada, grace]) {
    await hears(tab, 100);
    assert.deepEqual(await heard(tab), numbered(0, 100));
    assert.deepEqual(await notes(tab), []);
  }
});

test('the ticker board stays current on a slow machine', async (t) => {
  const broker = await startBroker(t);
  const feeder = await openTab(t, browser, `${broker.http}/demos/ticker.html`);
  // The first page feeds, since nobody else does; so the second one only looks.
  await feeder.waitForFunction(() => document.getElementById('feed').getAttribute('aria-pressed') === 'true');
  const board = await openTab(t, browser, `${broker.http}/demos/ticker.html`);
  const devtools = await board.context().newCDPSession(board);
  await devtools.send('Emulation.setCPUThrottlingRate', { rate: 10 });
  await board.selectOption('#rate', '20');
  await board.waitForFunction(() => Number(document.getElementById('in').textContent.replaceAll(',', '')) > 1_500);
  const ages = [];
  for (let second = 0; second < 5; second += 1) {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    ages.push(Number(await board.textContent('#age')));
  }
  const skipped = Number((await board.textContent('#skipped')).replaceAll(',', ''));
  assert.ok(skipped > 5_000, `${skipped} left out`);
  assert.ok(ages.slice(1).every((age) => age < 2_000), `values were up to ${Math.max(...ages)} ms old`);
  t.diagnostic(`age of values when shown, at a tenth of the speed: ${ages.join(', ')} ms; ${skipped} left out`);
  // When the feed stops, the board shows what the broker holds.
  await feeder.click('#feed');
  const held = async () => {
    const { messages } = await (await fetch(`${broker.http}/v1/topics/ticker:market/messages`)).json();
    return Object.fromEntries(messages.map(({ key, data }) => [key, data.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: data < 10 ? 5 : 2 })]));
  };
  await board.waitForFunction(async (wanted) => {
    const rows = [...document.querySelectorAll('#board tr')].map((row) => [row.children[0].textContent, row.children[1].textContent]);
    return rows.length === 8 && rows.every(([key, price]) => wanted[key] === price);
  }, await settledBoard(held));
});

/** What the broker holds once it does not change any more. */
async function settledBoard(held) {
  for (;;) {
    const before = JSON.stringify(await held());
    await new Promise((resolve) => setTimeout(resolve, 300));
    const now = await held();
    if (JSON.stringify(now) === before) return now;
  }
}

test('players see each other move', async (t) => {
  const broker = await startBroker(t);
  const one = await openTab(t, browser, `${broker.http}/demos/game.html`), two = await openTab(t, browser, `${broker.http}/demos/game.html`);
  for (const tab of [one, two]) await tab.waitForFunction(() => document.querySelectorAll('#scores li').length === 2);
  // Watch what one sends while it moves, as any other client would.
  const watched = two.evaluate(() => new Promise((resolve) => {
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`);
    socket.onopen = () => socket.send(JSON.stringify({ type: 'subscribe', topic: 'game:comet:1' }));
    const first = new Map();
    socket.onmessage = ({ data }) => {
      for (const { type, from, data: state } of [JSON.parse(data)].flat()) {
        if (type !== 'message') continue;
        if (!first.has(from.client)) first.set(from.client, state.x);
        if (Math.abs(state.x - first.get(from.client)) > 0.05) { socket.close(); resolve(true); }
      }
    };
  }));
  await one.bringToFront();
  await one.focus('#arena');
  await one.keyboard.down('ArrowRight');
  await new Promise((resolve) => setTimeout(resolve, 400));
  await one.keyboard.up('ArrowRight');
  await one.keyboard.down('ArrowLeft');
  assert.equal(await watched, true);
  await one.context().close();
  await two.waitForFunction(() => document.querySelectorAll('#scores li').length === 1);
});

test('a payment arrives in the page, verified, and a forged one does not', async (t) => {
  const configuration = readFileSync(new URL('../../examples/web/payments.toml', import.meta.url), 'utf8');
  const broker = await startBroker(t, configuration, '127.0.0.1:0', [], { STRIPE_WEBHOOK_SECRET: 'whsec_demo' });
  const payer = await openTab(t, browser, `${broker.http}/demos/payments.html`), watcher = await openTab(t, browser, `${broker.http}/demos/payments.html`);
  await watcher.getByText('live', { exact: true }).waitFor();
  await payer.getByRole('button', { name: 'Send' }).click();
  await payer.getByText('Accepted: the signature is right.').waitFor();
  await watcher.locator('#list li').waitFor();
  assert.match(await watcher.locator('#list li').textContent(), /somebody@example\.org€49\.90payment_intent\.succeeded, signature verified, test/);
  assert.equal(await watcher.textContent('#total'), '€49.90');
  await payer.getByLabel('Signing secret').fill('whsec_wrong');
  await payer.getByRole('button', { name: 'Send' }).click();
  await payer.getByText('Refused (401)').waitFor();
  const overview = await openTab(t, browser, broker.http);
  await overview.waitForFunction(() => [...document.querySelectorAll('[aria-label=Trouble] tr')].some((one) => one.textContent.startsWith('Webhooks rejected') && one.lastElementChild.textContent === '1'));
  // The console tells both, shows what came, and takes it once more.
  const operator = await openTab(t, browser, `${broker.http}/#/deliveries`);
  await operator.locator('tbody tr').nth(1).waitFor();
  assert.deepEqual(await operator.locator('.outcome > span').allTextContents(), ['rejected', 'accepted']);
  const accepted = operator.locator('tbody tr').nth(1);
  await accepted.getByRole('button', { name: /View/ }).click();
  await operator.locator('[aria-label=Delivery]').getByText('stripe-signature').waitFor();
  await operator.locator('[aria-label=Delivery]').getByText('"payment_intent.succeeded"').waitFor();
  await accepted.getByRole('button', { name: /Replay/ }).click();
  await operator.locator('tbody tr').nth(2).waitFor();
  await watcher.locator('#list li').nth(1).waitFor();
  // The rejected one says why in the list; it is refused again, and that stays when the list is loaded again.
  const rejected = operator.locator('tbody tr', { hasText: 'rejected' });
  await rejected.getByText('the signature does not match').waitFor();
  await rejected.getByRole('button', { name: /Replay/ }).click();
  const refusal = operator.getByText(/was not replayed: /);
  await refusal.waitFor();
  for (let loads = 0; loads < 2; loads += 1) await operator.waitForResponse((response) => response.url().includes('/v1/deliveries?'));
  assert.equal(await refusal.isVisible(), true);
  await operator.getByLabel('Outcome').selectOption('rejected');
  await operator.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
});

test('without a source the payments page says how to have one', async (t) => {
  const broker = await startBroker(t);
  const page = await openTab(t, browser, `${broker.http}/demos/payments.html`);
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByText('STRIPE_WEBHOOK_SECRET=whsec_demo fanwire').waitFor();
});

test('where credentials are needed there are no demos', async (t) => {
  const broker = await startBroker(t, `auth_hmac_secret = "${'x'.repeat(40)}"\n`);
  for (const path of ['/demos/chat.html', '/demos/fanwire.js']) assert.equal((await fetch(broker.http + path)).status, 404);
});
