import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeSocket } from './support/fake-socket.js';
import { fakes, record } from './support/fixture.js';
import { at } from './support/wire.js';

const it = fakes();

describe('connecting', () => {
	test('offers the codec, and sends nothing before the welcome', async () => {
		const client = it.make();
		client.subscribe('t');
		client.publish('t', 1);
		await it.clock.settle();
		assert.deepEqual(FakeSocket.last.protocols, ['fanwire.v1.json']);
		assert.equal(FakeSocket.last.sent.length, 0);
		assert.equal(client.state, 'connecting');
		FakeSocket.last.welcome({ user: 'ada' });
		assert.deepEqual([client.state, client.client, client.user], ['open', 'c1', 'ada']);
		FakeSocket.last.take('subscribe');
		FakeSocket.last.take('publish');
	});

	test('waits to be told with autoConnect off', async () => {
		const client = it.make({ autoConnect: false });
		await it.clock.pass(100_000);
		assert.deepEqual([client.state, FakeSocket.all.length], ['idle', 0]);
		client.connect();
		await it.clock.settle();
		assert.equal(FakeSocket.all.length, 1);
	});

	test('pauses double up to the cap, and start over after a stable connection', async () => {
		const client = it.make({ backoff: { minMs: 100, maxMs: 1000, stableMs: 5000 } });
		const seen = record(client, 'disconnect');
		await it.clock.settle();
		for (let i = 0; i < 6; i++) {
			FakeSocket.last.drop();
			await it.clock.pass(1000);
		}
		assert.deepEqual(
			seen.map(([, end]) => (end as { retryMs: number }).retryMs),
			[100, 200, 400, 800, 1000, 1000],
		);
		FakeSocket.last.welcome();
		FakeSocket.last.drop();
		await it.clock.pass(1000);
		FakeSocket.last.welcome();
		await it.clock.pass(5000);
		FakeSocket.last.drop();
		assert.deepEqual(
			seen.slice(6).map(([, end]) => (end as { retryMs: number }).retryMs),
			[1000, 100],
		);
	});

	test('pauses are random between nothing and the bound', async () => {
		Math.random = () => 0.25;
		const client = it.make({ backoff: { minMs: 100 } });
		const seen = record(client, 'disconnect');
		await it.clock.settle();
		FakeSocket.last.drop();
		assert.equal((seen[0]?.[1] as { retryMs: number }).retryMs, 25);
	});

	test('an attempt that hangs is given up', async () => {
		it.make({ connectTimeoutMs: 3000, backoff: { minMs: 10 } });
		await it.clock.pass(3000);
		assert.ok(FakeSocket.last.terminated);
		await it.clock.pass(10);
		assert.equal(FakeSocket.all.length, 2);
	});

	test('close codes 4000 to 4099 mean to stay away, all others to come back', async () => {
		for (const [code, state] of [
			[4000, 'closed'],
			[4001, 'closed'],
			[4099, 'closed'],
			[4100, 'waiting'],
			[4199, 'waiting'],
			[4300, 'waiting'],
			[1000, 'waiting'],
			[1001, 'waiting'],
			[1006, 'waiting'],
			[1009, 'waiting'],
		] as const) {
			const [client, socket] = await it.open();
			const subscription = client.subscribe('t');
			const ended = record(subscription, 'end');
			socket.drop(code);
			assert.equal(client.state, state, String(code));
			assert.equal(ended.length, state === 'closed' ? 1 : 0);
			client.close();
		}
	});

	test('a goodbye says when to come back, and impatience does not change that', async () => {
		const [client, socket] = await it.open();
		socket.receive({ type: 'goodbye', code: 'draining', reconnect: true, after_ms: 4000 });
		client.publish('t', 1);
		assert.equal(socket.sent.length, 0, 'nothing new on a connection that ends');
		socket.drop(1001);
		client.connect();
		await it.clock.pass(3999);
		assert.equal(FakeSocket.all.length, 1);
		await it.clock.pass(1);
		FakeSocket.last.welcome().take('publish');
	});

	test('a broker that says goodbye to everyone is not asked all the time', async () => {
		const [client, socket] = await it.open({ pingIntervalMs: 1e9 });
		await it.clock.pass(10_000);
		const goodbye = { type: 'goodbye', code: 'draining', reconnect: true, after_ms: 0 };
		socket.receive(goodbye);
		socket.drop(1001);
		await it.clock.pass(0);
		assert.equal(FakeSocket.all.length, 2, 'the first one is obeyed to the millisecond');
		for (let passed = 0; passed < 60_000; passed += 10) {
			if (client.state === 'connecting') {
				FakeSocket.last.welcome().receive(goodbye);
				FakeSocket.last.drop(1001);
			}
			await it.clock.pass(10);
		}
		assert.ok(FakeSocket.all.length > 3 && FakeSocket.all.length < 40, `${FakeSocket.all.length} connections in a minute`);
	});

	test('a goodbye for good', async () => {
		const [client, socket] = await it.open();
		const pending = client.publish('t', 1);
		socket.receive({ type: 'goodbye', code: 'kicked', reconnect: false, after_ms: 0 });
		socket.drop(1000);
		assert.equal(client.state, 'closed');
		await assert.rejects(pending, { code: 'outcome_unknown' });
	});

	test('a listener may close the client at any moment', async () => {
		for (const wanted of ['connecting', 'open', 'waiting'] as const) {
			const client = it.make();
			client.on('state', (state) => state === wanted && client.close());
			await it.clock.settle();
			FakeSocket.last?.welcome();
			FakeSocket.last?.drop();
			await it.clock.pass(60_000);
			assert.equal(client.state, 'closed', wanted);
		}
		const [client, socket] = await it.open();
		const subscription = client.subscribe('t');
		socket.answer('subscribe', at(1));
		subscription.on('state', () => client.close());
		socket.drop();
		assert.equal(client.state, 'closed');
	});

	test('connect() while waiting tries at once', async () => {
		const [client, socket] = await it.open();
		socket.drop();
		client.connect();
		await it.clock.settle();
		assert.equal(FakeSocket.all.length, 2);
	});

	test('a socket that cannot be made is a failed attempt', async () => {
		let tries = 0;
		class Broken {
			constructor() {
				tries++;
				throw new SyntaxError('no such scheme');
			}
		}
		const client = it.make({ WebSocket: Broken });
		const seen = record(client, 'error');
		await it.clock.pass(600);
		assert.equal(tries, 2);
		assert.match((seen[0]?.[1] as Error).message, /no such scheme/);
	});

	test('without any WebSocket it stops and says so', async () => {
		const client = it.make({ WebSocket: undefined as never });
		const subscription = client.subscribe('t');
		const ready = subscription.ready();
		await assert.rejects(ready, { code: 'no_websocket' });
		assert.equal(client.state, 'closed');
	});
});
