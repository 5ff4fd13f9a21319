import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FanwireError } from '../src/errors.js';
import { fakes, record } from './support/fixture.js';
import { at, message } from './support/wire.js';

const it = fakes();

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

	test('a listener may unsubscribe, and gets nothing more of the same frame', async () => {
		const [client, socket] = await it.open();
		const first = client.subscribe('t'), other = record(client.subscribe('u'), 'message');
		socket.answer('subscribe', at(0));
		socket.answer('subscribe', at(0));
		const seen: number[] = [];
		first.on('message', ({ offset }) => {
			seen.push(offset);
			first.unsubscribe();
			client.subscribe('t').on('message', () => seen.push(-1));
		});
		socket.receive(message(1), message(2), { ...message(1), topic: 'u' });
		assert.deepEqual([seen, other.length], [[1], 1]);
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
