// The page of docs/quickstart.md, word for word: served from a folder on this machine, as its readers do.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { openTab, startBroker, startBrowser } from './support.mjs';

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser.close());

/** The page's address, on a port of its own. */
async function serve(t, page) {
  const server = createServer((_request, response) => response.setHeader('content-type', 'text/html').end(page));
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}/chat.html`;
}

test('the page of the quick start is a chat', async (t) => {
  const broker = await startBroker(t);
  const document = readFileSync(new URL('../../docs/quickstart.md', import.meta.url), 'utf8');
  const [, page] = /```html\n([\s\S]*?)```/.exec(document);
  const [, body] = /curl -d '([^']*)' http/.exec(document.split('## 2.')[1]);
  const url = await serve(t, page.replaceAll('127.0.0.1:7400', new URL(broker.http).host));
  await fetch(`${broker.http}/v1/topics/chat:lobby/messages`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
  // The broker's first lines tell this one, which has no name.
  await fetch(`${broker.http}/v1/topics/chat:lobby/messages`, { method: 'POST', body: '{"text":"hello"}', headers: { 'content-type': 'application/json' } });
  const tabs = [await openTab(t, browser, url), await openTab(t, browser, url)];
  for (const tab of tabs) await tab.locator('#log li').getByText('curl: hello').waitFor();
  await tabs[0].fill('#text', 'hi there');
  await tabs[0].press('#text', 'Enter');
  for (const tab of tabs) {
    await tab.locator('#log li').nth(2).waitFor();
    assert.deepEqual(await tab.locator('#log li').allTextContents(), ['curl: hello', 'somebody: hello', 'me: hi there']);
  }
});
