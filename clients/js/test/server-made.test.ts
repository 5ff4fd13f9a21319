import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Subscription } from '../src/subscription.js';
import { FakeSocket } from './support/fake-socket.js';
import { fakes, record } from './support/fixture.js';
import { at, message } from './support/wire.js';

const it = fakes();
const commands = (socket: FakeSocket, type: string) => socket.sent.filter((command) => command.type === type);
const made = (offset: number, fields: object = {}) => ({ type: 'subscribed', topic: 't', ...at(offset), ...fields });

describe('subscriptions that the broker makes', () => {
	test('come to a listener of the client, with their messages', async () => {
		const [client, socket] = await it.open();
		const seen: [string, unknown][][] = [];
		client.on('subscription', (subscription) => {
			seen.push(record(subscription, 'state', 'message', 'join', 'end'));
		});
		socket.receive(made(2, { kind: 'log', members: [{ client: 'c1' }] }), message(1), message(2), message(3));
		socket.receive({ type: 'end', topic: 't', code: 'expired' });
		const short = seen[0]?.map(([name, what]) => [name, (what as { offset?: number; code?: string }).offset ?? what]);
		assert.deepEqual(short?.slice(0, 5), [
			['state', 'live'],
			['join', { client: 'c1' }],
			['message', 1],
			['message', 2],
			['message', 3],
		]);
		assert.equal((seen[0]?.at(-1)?.[1] as { code: string }).code, 'expired');
		assert.deepEqual(commands(socket, 'subscribe'), []);
		socket.receive(made(3));
		assert.equal(seen.length, 2);
	});

	test('wait for the broker after a loss, and tell whether something was missed', async () => {
		const [client, socket] = await it.open();
		const all: Subscription[] = [];
		client.on('subscription', (subscription) => all.push(subscription));
		socket.receive(made(0), message(1));
		const [subscription] = all;
		assert.ok(subscription);
		const seen = record(subscription, 'recovered', 'message', 'state');
		for (const [offset, recovered] of [
			[1, true],
			[5, false],
		] as const) {
			FakeSocket.last.drop();
			const next = await it.reopen();
			assert.deepEqual(commands(next, 'subscribe'), []);
			next.receive(made(offset));
			assert.deepEqual(seen.splice(0), [
				['state', 'subscribing'],
				['state', 'live'],
				['recovered', { recovered, ...at(offset) }],
			]);
		}
		assert.equal(all.length, 1);
	});

	test('are given up like others', async () => {
		const [client, socket] = await it.open();
		client.on('subscription', (subscription) => subscription.unsubscribe());
		socket.receive(made(0), message(1));
		assert.equal(commands(socket, 'unsubscribe').length, 1);
		client.subscribe('t');
		assert.equal(commands(socket, 'subscribe').length, 1);
	});

	test('give way to what the program asks for, which goes on where it was', async () => {
		const [client, socket] = await it.open();
		const subscription = client.subscribe('t');
		const seen = record(subscription, 'message', 'error', 'recovered');
		socket.answer('subscribe', at(0));
		socket.receive(message(1));
		socket.drop();
		const next = await it.reopen();
		next.receive(made(3));
		next.refuse('subscribe', 'already_subscribed');
		next.answer('unsubscribe');
		assert.deepEqual(next.answer('subscribe', { ...at(3), recovered: true }).since, at(1));
		next.receive(message(2), message(3));
		const short = seen.map(([name, what]) => (name === 'message' ? (what as { offset: number }).offset : name));
		assert.deepEqual(short, [1, 'recovered', 2, 3]);
	});
});
