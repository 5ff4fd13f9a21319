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

/** What will happen to a connection. */
interface Fate {
	fault: Fault | undefined;
	/** Bytes until then, in both directions together. */
	left: number;
	/**
	 * The side whose text can be garbled in its middle and is noticed. What clients send is masked: garbled in its middle it
	 * can turn into other text.
	 */
	textual: Socket;
	/** Ends it. */
	over(): void;
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
		this.cutAll();
		if (!this.server.listening) return;
		this.server.close();
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
		const fate = { fault, left: this.random.below(2 * this.patience), textual: up, over };
		this.#forward(down, up, fate);
		this.#forward(up, down, fate);
	}

	/** Carries bytes one way; the fault strikes the direction in which the last of its bytes come. */
	#forward(from: Socket, to: Socket, fate: Fate): void {
		let pause = Promise.resolve();
		let stalled = false;
		const write = (bytes: Buffer) => {
			pause = pause.then(() => void (to.writable && to.write(bytes)));
		};
		from.on('end', () => pause.then(() => to.writable && to.end()));
		from.on('data', (chunk) => {
			if (stalled) return;
			fate.left -= chunk.length;
			const { fault } = fate;
			if (!fault || !this.active || fate.left > 0) return write(chunk);
			this.#strike(fault);
			if (fault === 'delay') {
				const ms = this.random.below(30);
				pause = pause.then(() => new Promise((resolve) => setTimeout(resolve, ms)));
				write(chunk);
				fate.left = this.random.below(this.patience);
				if (this.random.next() < 0.3) fate.fault = 'cut';
			} else if (fault === 'garble') {
				write(garbled(chunk, fate.textual === from ? this.random.below(chunk.length) : 0));
			} else {
				stalled = true;
				write(chunk.subarray(0, this.random.below(chunk.length)));
				if (fault === 'cut') setImmediate(fate.over);
				else if (fault === 'half-close') pause.then(() => to.end());
			}
		});
	}

	#strike(fault: Fault): void {
		this.struck.set(fault, (this.struck.get(fault) ?? 0) + 1);
	}
}

/** From a byte on, nothing that UTF-8 or a frame header could be. */
function garbled(chunk: Buffer, start: number): Buffer {
	return Buffer.from(chunk).fill(0xff, start);
}
