import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FanwireError } from '../src/errors.js';
import { FakeSocket } from './support/fake-socket.js';
import { fakes, record } from './support/fixture.js';
import { at, message } from './support/wire.js';

const it = fakes();

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
