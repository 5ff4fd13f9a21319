import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FanwireError } from '../src/errors.js';
import { FakeSocket } from './support/fake-socket.js';
import { fakes, record } from './support/fixture.js';

const it = fakes();
const at = (offset: number, epoch = 'a') => ({ epoch, offset });
const message = (offset: number, fields = {}) => ({
	type: 'message',
	topic: 't',
	offset,
	time: 1,
	data: offset,
	...fields,
});

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

describe('signs of life', () => {
	test('silence is followed by a ping, an answer by rest', async () => {
		const [client, socket] = await it.open({ pingIntervalMs: 1000, pingTimeoutMs: 300 });
		await it.clock.pass(2000);
		socket.receive({ type: 'pong', id: socket.take('ping').id });
		await it.clock.pass(1000);
		assert.equal(client.state, 'open');
	});

	test('no answer is the end of the connection', async () => {
		const [client, socket] = await it.open({ pingIntervalMs: 1000, pingTimeoutMs: 300 });
		await it.clock.pass(2299);
		assert.equal(client.state, 'open');
		await it.clock.pass(1);
		assert.equal(client.state, 'waiting');
		assert.ok(socket.terminated);
	});

	test('a timer that was held up proves nothing', async () => {
		const [client, socket] = await it.open({ pingIntervalMs: 1000, pingTimeoutMs: 300 });
		await it.clock.pass(2000);
		socket.take('ping');
		it.clock.sleep(3_600_000);
		await it.clock.pass(0);
		assert.equal(client.state, 'open');
		socket.receive({ type: 'pong', id: socket.take('ping').id });
		await it.clock.pass(300);
		assert.equal(client.state, 'open');
	});

	test('an unreadable frame is the end of the connection', async () => {
		for (const frame of ['{"type":"mess', '[1]', '\u0000', '']) {
			const [client, socket] = await it.open();
			socket.raw(frame);
			assert.equal(client.state, 'waiting', frame);
			client.close();
		}
	});

	test('unknown events and fields are ignored', async () => {
		const [client, socket] = await it.open();
		socket.receive({ type: 'weather', id: 12, topic: 't' }, { type: 'ok', id: 999 }, message(3));
		assert.equal(client.state, 'open');
	});
});

describe('the platform', () => {
	test('online, offline and visibility are heeded, and no listener is left', async () => {
		const listeners = new Map<string, () => void>();
		const target = {
			addEventListener: (name: string, listener: () => void) => listeners.set(name, listener),
			removeEventListener: (name: string) => listeners.delete(name),
			visibilityState: 'visible',
		};
		Object.assign(globalThis, {
			addEventListener: target.addEventListener,
			removeEventListener: target.removeEventListener,
			document: target,
		});
		try {
			const [client, socket] = await it.open({ pingTimeoutMs: 300 });
			listeners.get('offline')?.();
			socket.take('ping');
			await it.clock.pass(300);
			assert.equal(client.state, 'waiting');
			listeners.get('offline')?.();
			target.visibilityState = 'hidden';
			listeners.get('visibilitychange')?.();
			await it.clock.settle();
			assert.equal(client.state, 'waiting');
			listeners.get('online')?.();
			await it.clock.settle();
			FakeSocket.last.welcome();
			target.visibilityState = 'visible';
			listeners.get('visibilitychange')?.();
			FakeSocket.last.take('ping');
			client.close();
			assert.equal(listeners.size, 0);
		} finally {
			for (const name of ['addEventListener', 'removeEventListener', 'document'])
				Reflect.deleteProperty(globalThis, name);
		}
	});
});

describe('tokens', () => {
	test('the first command is auth, and everything else waits for its answer', async () => {
		const [client, socket] = await it.open({ token: 'x.y.z' });
		client.subscribe('t');
		assert.equal(client.state, 'connecting');
		assert.equal(socket.answer('auth', { user: 'ada' }).token, 'x.y.z');
		assert.equal(client.user, 'ada');
		socket.take('subscribe');
	});

	test('a fixed token that is refused ends it', async () => {
		const [client, socket] = await it.open({ token: 'bad' });
		const seen = record(client, 'error');
		const subscription = client.subscribe('t');
		const ended = record(subscription, 'end');
		socket.refuse('auth', 'invalid_token');
		assert.equal(client.state, 'closed');
		assert.equal((ended[0]?.[1] as FanwireError).code, 'invalid_token');
		assert.equal((seen[0]?.[1] as FanwireError).code, 'invalid_token');
	});

	test('a callback is asked again, after a pause', async () => {
		let count = 0;
		const [client, socket] = await it.open({ token: async () => `token-${++count}` });
		const seen = record(client, 'error');
		socket.refuse('auth', 'invalid_token');
		assert.equal(client.state, 'waiting');
		assert.equal((seen[0]?.[1] as FanwireError).code, 'invalid_token');
		const next = await it.reopen();
		assert.equal(next.answer('auth').token, 'token-2');
		assert.equal(client.state, 'open');
	});

	test('a callback that fails or hangs is a failed attempt', async () => {
		const results = [() => Promise.reject(new Error('no network')), () => new Promise<string>(() => {}), () => 'good'];
		const client = it.make({ token: () => results.shift()?.() as string, connectTimeoutMs: 5000 });
		const seen = record(client, 'error');
		await it.clock.pass(500);
		assert.equal((seen[0]?.[1] as FanwireError).code, 'token');
		await it.clock.pass(5000 + 1000);
		FakeSocket.last.welcome().answer('auth');
		assert.equal(client.state, 'open');
	});

	test('it is replaced before it ends, on the same connection', async () => {
		let count = 0;
		const [client, socket] = await it.open({ token: () => `token-${++count}`, pingIntervalMs: 1e9 });
		socket.answer('auth', { expires: Date.now() + 100_000 });
		await it.clock.pass(80_000);
		assert.equal(socket.answer('auth', { expires: Date.now() + 100_000 }).token, 'token-2');
		await it.clock.pass(80_000);
		assert.equal(socket.refuse('auth', 'invalid_token').token, 'token-3');
		await it.clock.pass(2000);
		assert.equal(socket.answer('auth', { expires: Date.now() + 100_000 }).token, 'token-4');
		assert.equal(client.state, 'open');
	});

	test('4001 brings a new token if there may be one', async () => {
		let count = 0;
		const [client, socket] = await it.open({ token: () => `token-${++count}` });
		socket.answer('auth');
		socket.drop(4001, 'token expired');
		assert.equal(client.state, 'waiting');
		assert.equal((await it.reopen()).answer('auth').token, 'token-2');
	});

	test('no token is no auth', async () => {
		const [client] = await it.open({ token: () => undefined });
		assert.equal(client.state, 'open');
	});
});

describe('subscriptions', () => {
	test('options reach the broker, messages the listeners', async () => {
		const [client, socket] = await it.open();
		const subscription = client.subscribe('t', { last: 2, presence: true, maxRate: 5 });
		const seen = record(subscription, 'state', 'message', 'join', 'leave', 'gap', 'recovered', 'end');
		const command = socket.answer('subscribe', { ...at(7), members: [{ client: 'c1' }] });
		assert.deepEqual(
			{ ...command, id: 0 },
			{ type: 'subscribe', id: 0, topic: 't', last: 2, presence: true, max_rate: 5 },
		);
		socket.receive(
			message(6, { b64: 'AAH+/w==', data: undefined }),
			message(9, { key: 'k', tags: { a: 'b' }, from: { client: 'x', user: 'ada' }, skipped: 2 }),
			{ type: 'join', topic: 't', client: 'c2', user: 'bob' },
			{ type: 'leave', topic: 't', client: 'c2', user: 'bob' },
			{ type: 'gap', topic: 't', epoch: 'a', after: 9, next: 20 },
			message(20),
		);
		const common = { topic: 't', epoch: 'a', time: 1 };
		assert.deepEqual(seen, [
			['state', 'live'],
			['join', { client: 'c1' }],
			['message', { ...common, offset: 6, skipped: 0, data: new Uint8Array([0, 1, 254, 255]) }],
			[
				'message',
				{ ...common, offset: 9, skipped: 2, data: 9, key: 'k', tags: { a: 'b' }, from: { client: 'x', user: 'ada' } },
			],
			['join', { client: 'c2', user: 'bob' }],
			['leave', { client: 'c2', user: 'bob' }],
			['gap', { epoch: 'a', after: 9, next: 20 }],
			['message', { ...common, offset: 20, skipped: 0, data: 20 }],
		]);
		assert.deepEqual(subscription.position, at(20));
	});

	test('after a loss it resumes, without repeats', async () => {
		const [client, socket] = await it.open();
		const subscription = client.subscribe('t');
		const seen = record(subscription, 'message', 'recovered', 'state');
		socket.answer('subscribe', at(0));
		socket.receive(message(1), message(2));
		socket.drop();
		const next = await it.reopen();
		assert.deepEqual(next.answer('subscribe', { ...at(4), recovered: true }).since, at(2));
		next.receive(message(2), message(3), message(4));
		const short = seen.map(([name, what]) => (name === 'message' ? (what as { offset: number }).offset : what));
		assert.deepEqual(short, ['live', 1, 2, 'subscribing', 'live', { recovered: true, ...at(4) }, 3, 4]);
	});

	test('what could not be recovered is told', async () => {
		const [client, socket] = await it.open();
		const seen = record(client.subscribe('t'), 'recovered');
		socket.answer('subscribe', at(5));
		socket.drop();
		(await it.reopen()).answer('subscribe', { ...at(1, 'b'), recovered: false });
		assert.deepEqual(seen, [['recovered', { recovered: false, ...at(1, 'b') }]]);
	});

	test('members are compared after a loss', async () => {
		const [client, socket] = await it.open();
		const subscription = client.subscribe('t', { presence: true });
		socket.answer('subscribe', { ...at(0), members: [{ client: 'c1' }, { client: 'x' }, { client: 'y' }] });
		const seen = record(subscription, 'join', 'leave');
		socket.drop();
		(await it.reopen()).answer('subscribe', {
			...at(0),
			recovered: true,
			members: [{ client: 'y' }, { client: 'c2' }],
		});
		assert.deepEqual(seen, [
			['leave', { client: 'c1' }],
			['leave', { client: 'x' }],
			['join', { client: 'c2' }],
		]);
		assert.deepEqual(subscription.members, [{ client: 'y' }, { client: 'c2' }]);
	});

	test('unsubscribing ends it at once; of an old subscription nothing reaches a new one', async () => {
		const [client, socket] = await it.open();
		const first = client.subscribe('t');
		const old = record(first, 'message', 'end');
		socket.answer('subscribe', at(0));
		assert.throws(() => client.subscribe('t'), { code: 'already_subscribed' });
		first.unsubscribe();
		const seen = record(client.subscribe('t'), 'message');
		socket.receive(message(1));
		socket.answer('unsubscribe');
		socket.answer('subscribe', at(1));
		socket.receive(message(2));
		assert.deepEqual([old.map(([name]) => name), seen.length], [['end'], 1]);
	});

	test('unsubscribing while offline: the next connection hears nothing of it', async () => {
		const [client, socket] = await it.open();
		const subscription = client.subscribe('t');
		socket.answer('subscribe', at(0));
		socket.drop();
		subscription.unsubscribe();
		assert.equal((await it.reopen()).sent.length, 0);
	});

	test('a refusal to retry is retried, another is the end', async () => {
		const [client, socket] = await it.open({ backoff: { minMs: 100 } });
		const subscription = client.subscribe('t');
		const seen = record(subscription, 'error', 'end');
		const ready = subscription.ready();
		socket.refuse('subscribe', 'overloaded', true);
		await it.clock.pass(100);
		socket.refuse('subscribe', 'forbidden');
		assert.deepEqual(
			seen.map(([name, error]) => [name, (error as FanwireError).code]),
			[
				['error', 'overloaded'],
				['error', 'forbidden'],
				['end', 'forbidden'],
			],
		);
		await assert.rejects(ready, { code: 'forbidden' });
		await assert.rejects(subscription.ready(), { code: 'forbidden' });
		client.subscribe('t');
	});

	test('an end to retry is retried from where it was', async () => {
		const [client, socket] = await it.open({ backoff: { minMs: 100 } });
		const subscription = client.subscribe('t');
		socket.answer('subscribe', at(3));
		socket.receive({ type: 'end', topic: 't', code: 'overloaded' });
		assert.equal(subscription.state, 'subscribing');
		await it.clock.pass(100);
		assert.deepEqual(socket.answer('subscribe', { ...at(3), recovered: true }).since, at(3));
		socket.receive({ type: 'end', topic: 't', code: 'something_new' });
		await it.clock.pass(100);
		socket.answer('subscribe', { ...at(3), recovered: true });
		socket.receive({ type: 'end', topic: 't', code: 'forbidden' });
		assert.equal(subscription.state, 'ended');
	});

	test('a retry that waits is not made on another connection as well', async () => {
		const [client, socket] = await it.open({ backoff: { minMs: 100 } });
		client.subscribe('t');
		for (let i = 0; i < 4; i++) {
			await it.clock.pass(400);
			socket.refuse('subscribe', 'overloaded', true);
		}
		socket.drop();
		const next = await it.reopen();
		await it.clock.pass(1000);
		assert.equal(next.sent.filter(({ type }) => type === 'subscribe').length, 1);
	});

	test('a listener that throws is reported and harms nobody', async () => {
		const [client, socket] = await it.open();
		const subscription = client.subscribe('t');
		subscription.on('message', () => {
			throw new Error('mine');
		});
		const seen = record(subscription, 'message');
		socket.answer('subscribe', at(0));
		const later: (() => void)[] = [];
		const { queueMicrotask } = globalThis;
		globalThis.queueMicrotask = (run) => void later.push(run);
		socket.receive(message(1), message(2));
		globalThis.queueMicrotask = queueMicrotask;
		assert.equal(seen.length, 2);
		assert.equal(later.length, 2);
		for (const run of later) assert.throws(run, /mine/);
	});
});

describe('publishing', () => {
	test('options reach the broker, the answer the caller', async () => {
		const [client, socket] = await it.open();
		const sent = client.publish('t', { a: 1 }, { key: 'k', messageId: 'm', tags: { x: 'y' }, ack: 'durable' });
		const command = socket.answer('publish', { ...at(8), duplicate: true });
		assert.deepEqual(
			{ ...command, id: 0 },
			{ type: 'publish', id: 0, topic: 't', key: 'k', message_id: 'm', tags: { x: 'y' }, ack: 'durable', data: { a: 1 } },
		);
		assert.deepEqual(await sent, { ...at(8), duplicate: true });
	});

	test('bytes', async () => {
		const [client, socket] = await it.open();
		client.publish('t', new Uint8Array([0, 1, 254, 255]).subarray(1));
		client.publish('t', new Uint8Array([1]).buffer);
		client.publish('t', 'ä', { bytes: true });
		assert.deepEqual(
			socket.sent.map(({ b64, data }) => [b64, data]),
			[
				['Af7/', undefined],
				['AQ==', undefined],
				['w6Q=', undefined],
			],
		);
		await assert.rejects(client.publish('t', 7, { bytes: true }), { code: 'bad_payload' });
		await assert.rejects(client.publish('t', undefined), { code: 'bad_payload' });
	});

	test('what has no answer is sent again, in order and with the same ids; what has is not', async () => {
		const [client, socket] = await it.open();
		const results = [1, 2, 3].map((n) => client.publish('t', n));
		socket.answer('publish', at(1));
		const lost = socket.sent.map(({ message_id }) => message_id);
		socket.drop();
		results.push(client.publish('t', 4));
		const next = await it.reopen();
		assert.deepEqual(
			next.sent.map(({ data }) => data),
			[2, 3, 4],
		);
		assert.deepEqual(
			next.sent.slice(0, 2).map(({ message_id }) => message_id),
			lost,
		);
		assert.equal(new Set(next.sent.map(({ message_id }) => message_id)).size, 3);
		for (const offset of [2, 3, 4]) next.answer('publish', at(offset));
		assert.deepEqual(
			(await Promise.all(results)).map(({ offset }) => offset),
			[1, 2, 3, 4],
		);
	});

	test('what the broker may have forgotten is not sent again', async () => {
		const [client, socket] = await it.open({ dedupeMs: 1000, backoff: { minMs: 2000 } });
		const sent = client.publish('t', 1);
		const read = client.history('t');
		socket.drop();
		const waiting = client.publish('t', 2);
		const next = await it.reopen();
		await assert.rejects(sent, { code: 'outcome_unknown' });
		next.answer('history', { ...at(1), messages: [], more: false });
		next.answer('publish', at(2));
		await Promise.all([read, waiting]);
	});

	test('the time to send again counts from the first sending', async () => {
		const [client, socket] = await it.open({ dedupeMs: 1000, backoff: { minMs: 600, maxMs: 600 } });
		const sent = client.publish('t', 1);
		socket.drop();
		const next = await it.reopen();
		next.take('publish');
		next.drop();
		await it.reopen();
		await assert.rejects(sent, { code: 'outcome_unknown' });
	});

	test('the queue is bounded in count and bytes', async () => {
		const client = it.make({ queueCount: 2, queueBytes: 1000 });
		client.publish('t', 1);
		await assert.rejects(client.publish('t', 'x'.repeat(1000)), { code: 'queue_full', retry: true });
		client.publish('t', 2);
		await assert.rejects(client.publish('t', 3), { code: 'queue_full' });
		await it.clock.settle();
		const socket = FakeSocket.last.welcome();
		socket.answer('publish', at(1));
		for (let i = 0; i < 3; i++) {
			client.publish('t', 'y'.repeat(700));
			const { id } = socket.sent.pop() ?? {};
			socket.receive({ type: 'ok', id, topic: 't', ...at(2) });
		}
		client.publish('t', 4);
		assert.deepEqual(
			socket.sent.map(({ data }) => data),
			[2, 4],
		);
	});

	test('frames larger than the broker reads are refused here', async () => {
		const client = it.make();
		const early = client.publish('t', 'ä'.repeat(60));
		await it.clock.settle();
		FakeSocket.last.welcome({ max_message_bytes: 150 });
		await assert.rejects(early, { code: 'too_large' });
		await assert.rejects(client.publish('t', 'ä'.repeat(60)), { code: 'too_large' });
		assert.equal(FakeSocket.last.sent.length, 0);
	});

	test('a draining broker took nothing: the next one gets it', async () => {
		const [client, socket] = await it.open();
		const sent = client.publish('t', 1);
		socket.refuse('publish', 'draining', true);
		socket.drop(1001);
		(await it.reopen()).answer('publish', at(1));
		assert.equal((await sent).offset, 1);
	});

	test('now or never', async () => {
		const client = it.make();
		await assert.rejects(client.publish('t', 1, { queue: false }), { code: 'offline' });
		await it.clock.settle();
		const socket = FakeSocket.last.welcome();
		const sent = client.publish('t', 1, { queue: false });
		assert.equal(socket.take('publish').message_id, undefined);
		socket.drop();
		await assert.rejects(sent, { code: 'outcome_unknown' });
		assert.equal((await it.reopen()).sent.length, 0);
	});

	test('refusals', async () => {
		const [client, socket] = await it.open();
		const sent = client.publish('t', 1);
		socket.refuse('publish', 'forbidden');
		await assert.rejects(sent, { name: 'FanwireError', code: 'forbidden', retry: false });
	});

	test('closing: what was sent is unknown, what was not is closed', async () => {
		const [client, socket] = await it.open();
		const sent = client.publish('t', 1);
		const read = client.presence('t');
		client.close();
		assert.equal(socket.closedWith, 1000);
		await assert.rejects(sent, { code: 'outcome_unknown' });
		await assert.rejects(read, { code: 'closed' });
		await assert.rejects(client.publish('t', 2), { code: 'closed' });
		assert.throws(() => client.subscribe('t'), { code: 'closed' });
	});
});

describe('reading', () => {
	test('presence and history', async () => {
		const [client, socket] = await it.open();
		const who = client.presence('t');
		socket.answer('presence', { members: [{ client: 'c' }], clients: 1, users: 0 });
		assert.deepEqual(await who, { members: [{ client: 'c' }], clients: 1, users: 0 });
		const page = client.history('t', { since: at(1), limit: 1, reverse: true });
		const { type: _, ...past } = message(2, { b64: 'AQI=', data: undefined });
		const asked = socket.answer('history', { ...at(2), messages: [past], more: true, recovered: true });
		assert.deepEqual([asked.since, asked.limit, asked.reverse], [at(1), 1, true]);
		assert.deepEqual(await page, {
			...at(2),
			more: true,
			recovered: true,
			messages: [{ topic: 't', ...at(2), time: 1, skipped: 0, data: new Uint8Array([1, 2]) }],
		});
	});

	test('reads survive a lost connection', async () => {
		const [client, socket] = await it.open();
		const who = client.presence('t');
		socket.drop();
		(await it.reopen()).answer('presence', { members: [], clients: 0, users: 0 });
		assert.equal((await who).clients, 0);
	});

	test('an error without id says that something sent was not readable: all of it is sent again', async () => {
		const [client, socket] = await it.open();
		const seen = record(client, 'error');
		const sent = client.publish('t', 1);
		socket.receive({ type: 'error', code: 'bad_frame', message: '', retry: false });
		assert.equal((seen[0]?.[1] as FanwireError).code, 'bad_frame');
		assert.equal(client.state, 'waiting');
		(await it.reopen()).answer('publish', at(1));
		assert.equal((await sent).offset, 1);
	});
});

describe('iterating', () => {
	const take = async (socket: FakeSocket, ...offsets: number[]) => socket.receive(...offsets.map((n) => message(n)));

	test('gives messages in order, and ends with the subscription', async () => {
		const [client, socket] = await it.open();
		const subscription = client.subscribe<number>('t');
		const seen: number[] = [];
		const loop = (async () => {
			for await (const { data } of subscription) seen.push(data);
		})();
		socket.answer('subscribe', at(0));
		await take(socket, 1, 2);
		await it.clock.settle();
		await take(socket, 3);
		subscription.unsubscribe();
		await loop;
		assert.deepEqual(seen, [1, 2, 3]);
	});

	test('throws why the subscription ended', async () => {
		const [client, socket] = await it.open();
		const next = client.subscribe('t')[Symbol.asyncIterator]().next();
		socket.refuse('subscribe', 'forbidden');
		await assert.rejects(next, { code: 'forbidden' });
	});

	test('a full buffer is an error after what it holds', async () => {
		const [client, socket] = await it.open();
		const iterator = client.subscribe<number>('t', { buffer: 2 })[Symbol.asyncIterator]();
		socket.answer('subscribe', at(0));
		await take(socket, 1, 2, 3, 4);
		assert.equal((await iterator.next()).value?.data, 1);
		assert.equal((await iterator.next()).value?.data, 2);
		await assert.rejects(iterator.next(), { code: 'overflow' });
		assert.equal((await iterator.next()).done, true);
	});

	test('or forgets the oldest and counts', async () => {
		const [client, socket] = await it.open();
		const iterator = client.subscribe<number>('t', { buffer: 2, overflow: 'drop-oldest' })[Symbol.asyncIterator]();
		socket.answer('subscribe', at(0));
		await take(socket, 1, 2, 3, 4);
		assert.equal(iterator.dropped, 2);
		assert.equal((await iterator.next()).value?.data, 3);
	});

	test('leaving the loop leaves the subscription', async () => {
		const [client, socket] = await it.open();
		const subscription = client.subscribe<number>('t');
		const loop = (async () => {
			for await (const _ of subscription) break;
		})();
		socket.answer('subscribe', at(0));
		await take(socket, 1, 2, 3);
		await loop;
		assert.equal(subscription.state, 'live');
	});
});
