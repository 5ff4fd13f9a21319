// The page of docs/quickstart.md, word for word: opened from a file, as its readers do.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openTab, scratch, startBroker, startBrowser } from './support.mjs';

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser.close());

test('the page of the quick start is a chat', async (t) => {
  const broker = await startBroker(t);
  const document = readFileSync(new URL('../../docs/quickstart.md', import.meta.url), 'utf8');
  const [, page] = /```html\n([\s\S]*?)```/.exec(document);
  const [, body] = /curl -d '([^']*)' http/.exec(document.split('## 2.')[1]);
  const file = join(scratch(t), 'chat.html');
  writeFileSync(file, page.replaceAll('127.0.0.1:7400', new URL(broker.http).host));
  await fetch(`${broker.http}/v1/topics/chat:lobby/messages`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
  // The broker's first lines tell this one, which has no name.
  await fetch(`${broker.http}/v1/topics/chat:lobby/messages`, { method: 'POST', body: '{"text":"hello"}', headers: { 'content-type': 'application/json' } });
  const tabs = [await openTab(t, browser, `file://${file}`), await openTab(t, browser, `file://${file}`)];
  for (const tab of tabs) await tab.locator('#log li').getByText('curl: hello').waitFor();
  await tabs[0].fill('#text', 'hi there');
  await tabs[0].press('#text', 'Enter');
  for (const tab of tabs) {
    await tab.locator('#log li').nth(2).waitFor();
    assert.deepEqual(await tab.locator('#log li').allTextContents(), ['curl: hello', 'somebody: hello', 'me: hi there']);
  }
});
