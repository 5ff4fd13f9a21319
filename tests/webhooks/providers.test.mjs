// Every provider: what its library signs arrives as a message; changed, repeated and old requests do not.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { configuration, githubExamples, providers, publicUrl, shopifyExamples, sourceOf } from './providers.mjs';
import { Listener, changed, seconds, send, startBroker } from './support.mjs';

let broker;

before(async () => {
  const { config, variables } = configuration();
  broker = await startBroker(config, variables);
});
after(() => broker.end());

for (const [name, provider] of Object.entries(providers)) {
  const path = `/in/${sourceOf(name)}`;
  const rejected = provider.rejected ?? 401;

  /** A signed request of this age. */
  async function signed(offset = 0) {
    const at = seconds(offset);
    const body = provider.body(at);
    const query = provider.query?.(body) ?? '';
    const url = publicUrl(name) + query;
    return { body, query, url, headers: await provider.sign(body, at, url) };
  }
  const post = ({ body, query, headers }) => send(broker, path + query, { headers, body });

  test(`${name}: signed, changed, repeated, old`, async (t) => {
    const listener = await Listener.open(broker, `webhook:${sourceOf(name)}`);
    t.after(() => listener.close());
    const good = await signed();
    if (provider.verify) {
      assert.ok(await provider.verify(good.body, good.headers, good.url), "the provider's own library accepts it");
    }

    if (provider.verify && !provider.covers) {
      const first = changed(good.body, 0);
      assert.ok(!(await accepts(provider, { ...good, body: first })), "the provider's own library refuses it changed");
    }

    for (const body of changes(provider, good.body)) {
      const answer = await post({ ...good, body });
      assert.equal(answer.status, rejected, `changed: ${body}`);
    }
    assert.deepEqual(await listener.rest(), [], 'nothing of what was changed arrives');

    const answer = await post(good);
    assert.equal(answer.status, provider.status ?? 200, answer.body);
    assert.equal(answer.body, provider.answer ?? '');
    const message = await listener.next();
    assert.deepEqual(message.data, (provider.data ?? JSON.parse)(good.body));
    assert.equal(message.verified, true);
    if (provider.event) assert.equal(message.event, provider.event);

    assert.equal((await post(good)).status, provider.status ?? 200, 'repeated');
    assert.deepEqual(await listener.rest(), [], 'it is not published once more');

    if (provider.tolerance) {
      for (const offset of [-provider.tolerance - 5, provider.tolerance + 5]) {
        const answer = await post(await signed(offset));
        assert.equal(answer.status, rejected, `${offset} s: ${answer.body}`);
      }
    }
    const { headers } = good;
    const without = Object.fromEntries(Object.entries(headers).filter(([header]) => !/sign|hmac|sig$|authorization|token/.test(header)));
    const bare = await post({ ...good, body: /sns|mailgun/.test(name) ? '{}' : good.body, headers: without });
    assert.equal(bare.status, rejected, 'without a signature');
    assert.deepEqual(await listener.rest(), []);

    // The next one is taken as if nothing had been.
    assert.equal((await post(await signed())).status, provider.status ?? 200);
    await listener.next();
  });
}

/** Whether a library takes it; they refuse in different ways. */
async function accepts(provider, { body, headers, url }) {
  try {
    return await provider.verify(body.toString(), headers, url);
  } catch {
    return false;
  }
}

/** The body with one bit changed, at places that the signature covers. */
function changes(provider, body) {
  const bytes = Buffer.from(body);
  if (!provider.covers) {
    const step = Math.max(1, Math.floor(bytes.length / 16));
    const places = Array.from({ length: 16 }, (_, n) => n * step).filter((at) => at < bytes.length);
    return [...places, bytes.length - 1].map((at) => changed(bytes, at));
  }
  return provider.covers.map((part) => changed(bytes, bytes.indexOf(part) + part.length));
}

test('every payload that GitHub is known to send', async (t) => {
  const listener = await Listener.open(broker, 'webhook:every');
  t.after(() => listener.close());
  const known = new Set();
  for (const { name, body } of githubExamples) {
    const headers = await providers.github.sign(body);
    const answer = await send(broker, '/in/every', { headers: { ...headers, 'x-github-event': name }, body });
    assert.equal(answer.status, 200, `${name}: ${answer.body}`);
    // Some of the collection are there twice.
    if (known.size === known.add(body).size) continue;
    const message = await listener.next();
    assert.equal(message.event, name);
    if (message.ref) assert.equal(message.bytes, Buffer.byteLength(body));
    else assert.deepEqual(message.data, JSON.parse(body));
  }
  assert.ok(known.size > 100, `${known.size} payloads`);
});

test('every sample that Shopify documents', async (t) => {
  const listener = await Listener.open(broker, 'webhook:shops');
  t.after(() => listener.close());
  for (const { name, body } of shopifyExamples) {
    const headers = { ...providers.shopify.sign(body), 'x-shopify-topic': name };
    const answer = await send(broker, '/in/shops', { headers, body });
    assert.equal(answer.status, 200, `${name}: ${answer.body}`);
    const message = await listener.next();
    assert.equal(message.event, name);
    assert.deepEqual(message.data, JSON.parse(body));
  }
  assert.ok(shopifyExamples.length > 100, `${shopifyExamples.length} samples`);
});
