import { afterEach, beforeEach } from 'node:test';
import { Fanwire } from '../../src/client.js';
import type { FanwireOptions } from '../../src/types.js';
import { FakeClock } from './clock.js';
import { FakeSocket } from './fake-socket.js';

/** A fake clock and fake sockets for every test of a file, and a check that nothing is left behind. */
export function fakes() {
	const clock = new FakeClock();
	const clients: Fanwire[] = [];
	beforeEach(() => {
		FakeSocket.reset();
		clock.install();
	});
	afterEach(() => {
		for (const client of clients.splice(0)) client.close();
		const left = clock.pending;
		clock.uninstall();
		if (left) throw new Error(`${left} timers left`);
	});
	return {
		clock,
		make(options: FanwireOptions = {}): Fanwire {
			const client = new Fanwire('ws://broker/ws', { WebSocket: FakeSocket, ...options });
			clients.push(client);
			return client;
		},
		/** A client that is open, and its socket. */
		async open(options: FanwireOptions = {}): Promise<[Fanwire, FakeSocket]> {
			const client = this.make(options);
			await clock.settle();
			return [client, FakeSocket.last.welcome()];
		},
		/** The next connection after a loss, however long it takes. */
		async reopen(): Promise<FakeSocket> {
			const count = FakeSocket.all.length;
			while (FakeSocket.all.length === count) await clock.pass(clock.next);
			return FakeSocket.last.welcome();
		},
	};
}

/** Notes events by name. */
export function record(source: { on(name: never, listener: (payload: never) => void): unknown }, ...names: string[]) {
	const seen: [string, unknown][] = [];
	for (const name of names) source.on(name as never, (payload) => void seen.push([name, payload]));
	return seen;
}
