// Against the real broker.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, afterEach, before, describe, test } from 'node:test';
import { msgpack } from '../src/msgpack.js';
import { Fanwire } from '../src/node.js';
import type { FanwireOptions, Message } from '../src/types.js';
import { BIN, Broker, ENV, skip } from './support/broker.js';
import { record } from './support/fixture.js';
import { FaultProxy } from './support/proxy.js';
import { Random } from './support/random.js';
import { pause, until } from './support/wait.js';

const QUICK: FanwireOptions = { backoff: { minMs: 5, maxMs: 50, stableMs: 20 } };
let topics = 0;
const fresh = (kind = 'chat') => `${kind}:js-${++topics}`;

for (const [name, codec] of [
	['json', undefined],
	['msgpack', msgpack],
] as const) {
	describe(`with ${name} frames`, { skip }, () => {
		let broker: Broker;
		const clients: Fanwire[] = [];
		const connect = (options: FanwireOptions = {}, url = broker.url) => {
			const client = new Fanwire(url, { ...QUICK, ...(codec && { codec }), ...options });
			clients.push(client);
			return client;
		};
		before(async () => {
			broker = await Broker.start();
		});
		afterEach(() => {
			for (const client of clients.splice(0)) client.close();
		});
		after(() => broker.stop());

		test('publish, subscribe, presence, history', async () => {
			const [ann, bob] = [connect(), connect()];
			const topic = fresh();
			const subscription = ann.subscribe<unknown>(topic, { presence: true });
			const seen = record(subscription, 'message', 'join', 'leave');
			await subscription.ready();
			const other = bob.subscribe(topic);
			await other.ready();
			const first = await bob.publish(topic, { text: 'hé', n: [1, 2.5, null] }, { tags: { a: 'b' } });
			const second = await bob.publish(topic, new Uint8Array([0, 255, 7]));
			assert.deepEqual([first.duplicate, second.epoch], [false, first.epoch]);
			const again = await bob.publish(topic, 'x', { messageId: 'once' });
			assert.deepEqual(await bob.publish(topic, 'x', { messageId: 'once' }), { ...again, duplicate: true });
			await until('three messages', () => seen.filter(([kind]) => kind === 'message').length === 3);
			const [one, two] = seen.filter(([kind]) => kind === 'message').map(([, message]) => message as Message);
			assert.deepEqual(one?.data, { text: 'hé', n: [1, 2.5, null] });
			assert.deepEqual([one?.tags, one?.from, one?.offset], [{ a: 'b' }, { client: bob.client }, first.offset]);
			assert.deepEqual(two?.data, new Uint8Array([0, 255, 7]));
			assert.equal((await ann.presence(topic)).clients, 2);
			const page = await ann.history(topic, { limit: 2, reverse: true });
			assert.deepEqual([page.messages.map(({ data }) => data), page.more], [['x', two?.data], true]);
			other.unsubscribe();
			await until('the leave', () => seen.some(([kind]) => kind === 'leave'));
			assert.deepEqual(subscription.members, [{ client: ann.client }]);
		});

		test('past messages, then live ones', async () => {
			const client = connect();
			const topic = fresh();
			for (const n of [1, 2, 3, 4]) await client.publish(topic, n);
			const seen: number[] = [];
			const subscription = client.subscribe<number>(topic, { last: 2 });
			subscription.on('message', ({ data }) => seen.push(data));
			await client.publish(topic, 5);
			await until('three', () => seen.length === 3);
			assert.deepEqual(seen, [3, 4, 5]);
			const position = subscription.position;
			subscription.unsubscribe();
			await client.publish(topic, 6);
			const resumed = client.subscribe<number>(topic, { ...(position && { since: position }) });
			const events = record(resumed, 'recovered');
			resumed.on('message', ({ data }) => seen.push(data));
			await until('the missed one', () => seen.length === 4);
			assert.equal((events[0]?.[1] as { recovered: boolean }).recovered, true);
		});

		test('the latest values, conflated', async () => {
			const client = connect();
			const topic = fresh('ticker');
			await client.publish(topic, 1, { key: 'a' });
			await client.publish(topic, 2, { key: 'b' });
			const values = new Map<string, unknown>();
			let updates = 0;
			client.subscribe(topic, { maxRate: 10 }).on('message', ({ key, data }) => {
				updates++;
				values.set(key ?? '', data);
			});
			for (let n = 0; n < 300; n++) client.publish(topic, n, { key: 'a' });
			await until('the last value', () => values.get('a') === 299);
			assert.equal(values.get('b'), 2);
			assert.ok(updates < 50, `${updates} updates`);
		});

		test('500 messages sent while offline arrive in order', async (t) => {
			const proxy = await FaultProxy.start(broker.port, new Random(1), []);
			t.after(() => proxy.stop());
			const [away, here] = [connect({}, proxy.url), connect()];
			const topic = fresh();
			const seen: number[] = [];
			const subscription = away.subscribe<number>(topic);
			subscription.on('message', ({ data }) => seen.push(data));
			const recovered = record(subscription, 'recovered', 'gap');
			await subscription.ready();
			proxy.cutAll();
			await Promise.all(Array.from({ length: 500 }, (_, n) => here.publish(topic, n)));
			await until('all of them', () => seen.length === 500);
			assert.deepEqual(
				seen,
				Array.from({ length: 500 }, (_, n) => n),
			);
			assert.ok(
				recovered.every(([name, event]) => name === 'recovered' && (event as { recovered: boolean }).recovered),
			);
		});

		test('what is refused', async () => {
			const client = connect();
			const error = (code: string) => ({ name: 'FanwireError', code });
			await assert.rejects(client.publish('chat:*', 1), error('bad_topic'));
			await assert.rejects(client.subscribe('chat:*').ready(), error('bad_topic'));
			await assert.rejects(client.publish(fresh(), 1, { key: 'k' }), error('wrong_kind'));
			await assert.rejects(client.publish(fresh(), 'x'.repeat(70_000)), error('too_large'));
			assert.equal(client.state, 'open');
		});

		test('a connection that turns silent is replaced', async (t) => {
			const proxy = await FaultProxy.start(broker.port, new Random(3), ['stall'], 1);
			t.after(() => proxy.stop());
			const client = connect({ pingIntervalMs: 50, pingTimeoutMs: 50, connectTimeoutMs: 200 }, proxy.url);
			const seen = record(client, 'disconnect');
			await until('silence was noticed', () => seen.length > 2);
			proxy.active = false;
			await until('it is back', () => client.state === 'open');
		});
	});
}

describe('restarts', { skip }, () => {
	for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
		test(`the broker ends with ${signal} and comes back without its memory`, async (t) => {
			const broker = await Broker.start('--drain-ms', '500');
			const client = new Fanwire(broker.url, QUICK);
			t.after(async () => {
				client.close();
				await broker.stop();
			});
			const topic = fresh();
			const subscription = client.subscribe<number>(topic);
			const seen: number[] = [];
			const lost = record(subscription, 'recovered');
			subscription.on('message', ({ data }) => seen.push(data));
			for (const n of [1, 2, 3]) await client.publish(topic, n);
			await until('the first three', () => seen.length === 3);
			let later: Promise<unknown>[] = [];
			await broker.restart(signal, async () => {
				later = [4, 5, 6].map((n) => client.publish(topic, n));
			});
			await Promise.all(later);
			await until('the others', () => seen.length === 6);
			assert.deepEqual(seen, [1, 2, 3, 4, 5, 6]);
			assert.equal((lost.at(-1)?.[1] as { recovered: boolean }).recovered, false, 'another epoch is told');
		});
	}
});

describe('tokens', { skip }, () => {
	const secret = 'a secret for these tests, long enough';
	let broker: Broker;
	const token = (...args: string[]) =>
		execFileSync(BIN, ['token', '--auth-hmac-secret', secret, ...args], { encoding: 'utf8', env: ENV }).trim();
	const clients: Fanwire[] = [];
	const connect = (token: FanwireOptions['token']) => {
		const client = new Fanwire(broker.url, { ...QUICK, ...(token && { token }) });
		clients.push(client);
		return client;
	};
	afterEach(() => {
		for (const client of clients.splice(0)) client.close();
	});
	before(async () => {
		broker = await Broker.start('--auth-hmac-secret', secret, '--ping-s', '1', '--pong-timeout-s', '1');
	});
	after(() => broker.stop());

	test('a token names the user and bounds what is allowed', async () => {
		const fixed = token('--user', 'ada', '--subscribe', 'chat:*', '--publish', 'chat:mine');
		const client = connect(fixed);
		await client.subscribe('chat:mine').ready();
		assert.equal(client.user, 'ada');
		await assert.rejects(client.subscribe('news:today').ready(), { code: 'forbidden' });
		await assert.rejects(client.publish('chat:other', 1), { code: 'forbidden' });
	});

	test('a refused token ends it, a token that ends is replaced in time', async () => {
		const refused = connect('nonsense');
		await assert.rejects(refused.subscribe('chat:a').ready(), { code: 'invalid_token' });
		let count = 0;
		const client = connect(() => {
			count++;
			return token('--user', 'ada', '--ttl-s', '3');
		});
		const seen = record(client, 'disconnect');
		await client.subscribe('chat:a').ready();
		await pause(6500);
		await client.publish('chat:a', 1);
		assert.ok(count >= 3, `${count} tokens`);
		assert.deepEqual(seen, []);
	});

	test('a fixed token that ends is the end; a callback gives another', async () => {
		// Long enough to come in with, on a busy machine too.
		const short = token('--ttl-s', '3');
		const fixed = connect(short);
		await fixed.subscribe('chat:a').ready();
		const given = [short];
		const renewed = connect(async () => given.pop() ?? token('--user', 'ada'));
		await until('the end', () => fixed.state === 'closed');
		// It may be given the new token on the old connection or on the next one.
		await until('another token', () => renewed.user === 'ada');
		await renewed.publish('chat:a', 1);
		assert.equal(renewed.state, 'open');
	});
});
