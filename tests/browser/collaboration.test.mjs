// Two real browsers type and draw in one document, through the example as it is.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { serve } from '../../examples/collaboration/serve.mjs';
import { startBroker, startBrowser } from './support.mjs';

const browsers = [];
let server;
before(async () => {
  server = await serve();
  browsers.push(await startBrowser(), await startBrowser());
});
after(() => { server.close(); return Promise.all(browsers.map((browser) => browser.close())); });

test('two people write and draw together', async (t) => {
  const broker = await startBroker(t);
  const address = `http://127.0.0.1:${server.address().port}/`;
  const open = async (browser, name) => {
    const page = await browser.newPage({ viewport: { width: 1100, height: 640 } });
    const faults = [];
    page.on('pageerror', (error) => faults.push(error));
    page.on('request', (request) => { if (!request.url().startsWith(address)) faults.push(new Error(request.url())); });
    await page.goto(`${address}?room=doc:two&name=${name}&broker=${broker.http.replace('http', 'ws')}`);
    await page.waitForSelector('#state.connected');
    return Object.assign(page, { faults });
  };
  const [ada, grace] = [await open(browsers[0], 'Ada'), await open(browsers[1], 'Grace')];
  const shows = (page, text) => page.waitForFunction((wanted) => document.querySelector('.cm-content').innerText.includes(wanted), text);
  await ada.click('.cm-content');
  await ada.keyboard.type('Hello from Ada.\n');
  await shows(grace, 'Hello from Ada.');
  await grace.click('.cm-content');
  await grace.keyboard.press('Control+End');
  await grace.keyboard.type('And Grace was here, too.');
  await shows(ada, 'And Grace was here, too.');
  // Both at once, each at a place of their own.
  await Promise.all([ada.keyboard.press('Control+Home'), grace.keyboard.press('Control+End')]);
  await Promise.all([ada.keyboard.type('Title: working together\n\n'), grace.keyboard.type(' Typing at the same time.')]);
  await shows(ada, 'Typing at the same time.');
  await shows(grace, 'Title: working together');
  await ada.waitForFunction(() => [...document.querySelectorAll('.cm-ySelectionInfo')].some((name) => name.textContent === 'Grace'));
  // The whiteboard, drawn on by both, with the other's pointer in view.
  const drag = async (page, points) => {
    const box = await page.locator('#board').boundingBox();
    const at = ([x, y]) => [box.x + x * box.width, box.y + y * box.height];
    await page.mouse.move(...at(points[0]));
    await page.mouse.down();
    for (const point of points.slice(1)) await page.mouse.move(...at(point), { steps: 8 });
    await page.mouse.up();
  };
  await drag(ada, [[0.2, 0.7], [0.2, 0.35], [0.4, 0.2], [0.6, 0.35], [0.6, 0.7], [0.2, 0.7]]);
  await drag(grace, [[0.75, 0.25], [0.85, 0.2], [0.9, 0.3], [0.8, 0.35], [0.75, 0.25]]);
  const strokes = (page) => page.evaluate(() => document.querySelector('canvas').toDataURL().length);
  const marked = (page) => page.waitForFunction(() => {
    const canvas = document.querySelector('canvas');
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let [left, right] = [0, 0];
    for (let i = 3; i < pixels.length; i += 4) if (pixels[i]) (((i - 3) / 4) % canvas.width < canvas.width * 0.65 ? left += 1 : right += 1);
    return left > 500 && right > 150;
  });
  await Promise.all([marked(ada), marked(grace)]);
  assert.ok(await strokes(ada) > 1000);
  await ada.waitForFunction(() => document.querySelector('.cursor span')?.textContent === 'Grace');
  assert.deepEqual((await ada.locator('#people span').allInnerTexts()).sort(), ['Ada (you)', 'Grace']);
  const document = await (await fetch(`${broker.http}/v1/documents/doc:two`)).json();
  assert.match(document.text, /^Title: working together\n\nHello from Ada\.\nAnd Grace was here, too\. Typing at the same time\.$/);
  assert.equal(document.strokes.length, 2);
  if (process.env.SCREENSHOT) await ada.screenshot({ path: process.env.SCREENSHOT });
  assert.deepEqual([...ada.faults, ...grace.faults], []);
});
