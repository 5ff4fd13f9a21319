import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeSocket } from './support/fake-socket.js';
import { fakes } from './support/fixture.js';
import { at } from './support/wire.js';

const it = fakes();

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
