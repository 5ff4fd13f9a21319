import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeSocket } from './support/fake-socket.js';
import { fakes } from './support/fixture.js';
import { message } from './support/wire.js';

const it = fakes();

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
