// The recipes of docs/webhooks.md, as a newcomer copies them: each ends in a message on a socket.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Listener, folder, startBroker } from './support.mjs';

const text = readFileSync(new URL('../../docs/webhooks.md', import.meta.url), 'utf8');

/** The blocks of a recipe, by its title. */
function recipe(title) {
  const section = text.split(`### ${title}`)[1].split('\n##')[0];
  const blocks = [...section.matchAll(/```(\w+)\n(.*?)```/gs)].map(([, kind, code]) => ({ kind, code }));
  const of = (kind, part) => blocks.filter((block) => block.kind === kind && block.code.includes(part)).map(({ code }) => code);
  const [subscribe] = of('sh', 'wscat');
  return {
    source: of('toml', '[[source]]')[0],
    topic: JSON.parse(/-x '(.*?)'/.exec(subscribe)[1]).topic,
    send: of('sh', 'curl -i')[0],
    keys: of('sh', 'genpkey')[0],
  };
}

const shell = (code, env = {}) =>
  execFileSync('bash', ['--norc', '-ec', code], {
    cwd: folder, env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'],
  }).toString();

/** Every member of `expected` is in `actual`, whatever else is. */
function assertHas(actual, expected) {
  for (const [name, value] of Object.entries(expected)) {
    if (typeof value === 'object') assertHas(actual[name], value);
    else assert.equal(actual[name], value, name);
  }
}

for (const [title, secret, expected] of [
  ['A payment (Stripe)', { STRIPE_WEBHOOK_SECRET: 'whsec_test' }, { status: 'succeeded', amount: 2000, event: 'payment_intent.succeeded' }],
  ['A new lead (HubSpot)', { HUBSPOT_CLIENT_SECRET: 'client secret' }, { event: 'contact.creation', data: { objectId: 123 } }],
  ['A push (GitHub)', { GITHUB_WEBHOOK_SECRET: 'secret' }, { event: 'push', data: { ref: 'refs/heads/main' } }],
  ['A command (Discord)', {}, { event: 'deploy', data: { type: 2 } }],
]) {
  test(title, async (t) => {
    const { source, topic, send, keys } = recipe(title);
    const key = keys ? shell(keys).trim() : '';
    const broker = await startBroker(source.replace('public_key = "…"', `public_key = "${key}"`), secret);
    t.after(() => broker.end());
    const listener = await Listener.open(broker, topic);
    t.after(() => listener.close());
    const answer = shell(send.replace('127.0.0.1:7400', `${broker.host}:${broker.port}`), secret);
    assert.match(answer, /^HTTP\/1\.1 200 OK/);
    if (keys) assert.match(answer, /"content":"on it"/);
    assertHas(await listener.next(), expected);
    assert.deepEqual(await listener.rest(), []);
  });
}
