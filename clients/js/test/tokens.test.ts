import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FanwireError } from '../src/errors.js';
import { FakeSocket } from './support/fake-socket.js';
import { fakes, record } from './support/fixture.js';

const it = fakes();

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
