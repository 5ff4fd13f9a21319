import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Random } from './random.js';

/** What may happen to a connection. */
export type Fault = 'cut' | 'delay' | 'half-close' | 'stall' | 'garble' | 'refuse';

/** One connection through the proxy. */
interface Pair {
	down: Socket;
	up: Socket;
}

/** A TCP proxy that mistreats connections, each in a way and at a byte that the seed decides. */
export class FaultProxy {
	/** How often each fault struck. */
	readonly struck = new Map<Fault, number>();
	/** Faults strike only while this is true. */
	active = true;
	connections = 0;
	#pairs = new Set<Pair>();

	private constructor(
		readonly server: Server,
		readonly target: number,
		readonly random: Random,
		readonly faults: readonly Fault[],
		readonly patience: number,
	) {
		server.on('connection', (down) => this.#accept(down));
	}

	/** @param patience bytes after which, on average, something happens to a connection. */
	static async start(target: number, random: Random, faults: readonly Fault[], patience = 4000): Promise<FaultProxy> {
		const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
		await once(server, 'listening');
		return new FaultProxy(server, target, random, faults, patience);
	}

	get url(): string {
		return `ws://127.0.0.1:${(this.server.address() as AddressInfo).port}/ws`;
	}

	/** Ends all connections without a word. */
	cutAll(): void {
		for (const { down, up } of this.#pairs) {
			down.destroy();
			up.destroy();
		}
	}

	async stop(): Promise<void> {
		this.server.close();
		this.cutAll();
		await once(this.server, 'close');
	}

	#accept(down: Socket): void {
		this.connections++;
		const fault = this.active && this.faults.length > 0 ? this.random.pick(this.faults) : undefined;
		down.on('error', () => {});
		if (fault === 'refuse') {
			this.#strike(fault);
			down.resetAndDestroy();
			return;
		}
		const up = connect({ port: this.target, host: '127.0.0.1', allowHalfOpen: true });
		up.on('error', () => down.destroy());
		const pair = { down, up };
		this.#pairs.add(pair);
		const over = () => {
			down.destroy();
			up.destroy();
			this.#pairs.delete(pair);
		};
		down.on('close', over);
		up.on('close', over);
		const upwards = this.random.next() < 0.5;
		this.#forward(down, up, upwards ? fault : undefined, over);
		this.#forward(up, down, upwards ? undefined : fault, over);
	}

	/** Carries bytes one way; the fault strikes after a random number of them. */
	#forward(from: Socket, to: Socket, fault: Fault | undefined, cut: () => void): void {
		let left = this.random.below(2 * this.patience);
		let pause = Promise.resolve();
		let stalled = false;
		from.on('end', () => pause.then(() => to.writable && to.end()));
		from.on('data', (chunk) => {
			if (stalled) return;
			const strikes = fault !== undefined && this.active && (left -= chunk.length) < 0;
			if (!strikes) {
				pause = pause.then(() => void (to.writable && to.write(chunk)));
				return;
			}
			this.#strike(fault);
			left = this.random.below(2 * this.patience);
			if (fault === 'delay') {
				const ms = this.random.below(30);
				pause = pause.then(() => new Promise((resolve) => setTimeout(resolve, ms)));
				pause = pause.then(() => void (to.writable && to.write(chunk)));
			} else if (fault === 'garble') {
				pause.then(() => to.writable && to.write(garbled(chunk, this.random)));
			} else {
				stalled = true;
				to.write(chunk.subarray(0, this.random.below(chunk.length)));
				if (fault === 'cut') setImmediate(cut);
				else if (fault === 'half-close') to.end();
			}
		});
	}

	#strike(fault: Fault): void {
		this.struck.set(fault, (this.struck.get(fault) ?? 0) + 1);
	}
}

/** From a random byte on, nothing that UTF-8 or a frame header could be. */
function garbled(chunk: Buffer, random: Random): Buffer {
	return Buffer.from(chunk).fill(0xff, random.below(2) * random.below(chunk.length));
}
