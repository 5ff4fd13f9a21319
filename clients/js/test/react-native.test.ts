// The package as React Native runs it: its entry point by Metro's conditions, and nothing but what React Native has.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';
import { build } from 'esbuild';
import { WebSocket as Ws } from 'ws';
import { Broker, skip } from './support/broker.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/**
 * React Native's WebSocket (Libraries/WebSocket/WebSocket.js, 0.74) over a real one: `binaryType` is undefined until it is
 * set, and then takes two words only; a third argument carries headers; no `ping` in reach of programs; events are plain
 * objects; an error has a `message` and comes before `close`; sending in any other state than open throws.
 */
class NativeWebSocket {
	static CONNECTING = 0;
	static OPEN = 1;
	static CLOSING = 2;
	static CLOSED = 3;
	static made: NativeWebSocket[] = [];
	readyState = 0;
	onopen?: (event: object) => void;
	onmessage?: (event: object) => void;
	onerror?: (event: object) => void;
	onclose?: (event: object) => void;
	#binaryType: string | undefined;
	#socket: Ws;

	constructor(url: string, protocols?: string | string[] | null, options?: { headers?: Record<string, string> }) {
		NativeWebSocket.made.push(this);
		this.#socket = new Ws(url, protocols ?? [], options);
		this.#socket.binaryType = 'arraybuffer';
		this.#socket.on('open', () => this.#emit('open', 1, {}));
		this.#socket.on('message', (data, isBinary) => {
			if (isBinary && this.#binaryType !== 'arraybuffer') throw new Error('bytes came as a Blob');
			this.#emit('message', 1, { data: isBinary ? data : String(Buffer.from(data as ArrayBuffer)) });
		});
		this.#socket.on('error', (error) => this.#emit('error', 3, { message: error.message }));
		this.#socket.on('close', (code, reason) => this.#emit('close', 3, { code, reason: String(reason) }));
	}

	#emit(type: 'open' | 'message' | 'error' | 'close', state: number, event: object): void {
		this.readyState = state;
		this[`on${type}`]?.({ type, ...event });
	}

	get binaryType(): string | undefined {
		return this.#binaryType;
	}
	set binaryType(type: string | undefined) {
		if (type !== 'blob' && type !== 'arraybuffer') throw new Error("binaryType must be either 'blob' or 'arraybuffer'");
		this.#binaryType = type;
	}

	send(data: unknown): void {
		if (this.readyState === 0) throw new Error('INVALID_STATE_ERR');
		if (typeof data !== 'string' && !(data instanceof ArrayBuffer) && !ArrayBuffer.isView(data)) throw new Error('Unsupported data type');
		this.#socket.send(data as string);
	}

	close(code?: number, reason?: string): void {
		if (this.readyState >= 2) return;
		this.readyState = 2;
		this.#socket.close(code, reason);
	}

	/** What a network that goes away does. */
	vanish(): void {
		this.#socket.terminate();
	}
}

/** A program as an app would have it; tells by `done`. */
const APP = `
import { Fanwire } from '@fanwire/client';
import { msgpack } from '@fanwire/client/msgpack';
export async function run(url, codec, vanish) {
	const client = new Fanwire(url, { codec: codec ? msgpack : undefined, backoff: { minMs: 10, maxMs: 20 } });
	const seen = [], recovered = [];
	const topic = 'chat:native-' + (codec ? 'b' : 'a');
	const subscription = client.subscribe(topic, { presence: true });
	subscription.on('recovered', (event) => recovered.push(event.recovered));
	const all = new Promise((resolve) => subscription.on('message', ({ data }) => {
		if (seen.push(data instanceof Uint8Array ? [...data] : data) === 4) resolve();
	}));
	await subscription.ready();
	await client.publish(topic, { text: 'hé' });
	await client.publish(topic, new Uint8Array([0, 255]));
	vanish();
	// While it is gone: both wait, and arrive once.
	await Promise.all([client.publish(topic, 3), client.publish(topic, 4)]);
	await all;
	client.close();
	return JSON.stringify({ seen, recovered, state: client.state });
}
`;

test('works with what React Native has, and with nothing else', { skip, timeout: 30_000 }, async () => {
	const bundle = await build({
		stdin: { contents: APP, resolveDir: ROOT },
		bundle: true,
		write: false,
		metafile: true,
		format: 'iife',
		globalName: 'app',
		// Metro's conditions and platform; the package refers to itself by its exports.
		conditions: ['react-native'],
		mainFields: ['react-native', 'browser', 'main'],
		platform: 'neutral',
		target: 'es2022',
	});
	const source = bundle.outputFiles[0]?.text ?? '';
	assert.ok(!Object.keys(bundle.metafile.inputs).some((path) => path.endsWith('/node.js')), 'nothing of Node.js');
	const broker = await Broker.start();
	try {
		for (const codec of [false, true]) {
			NativeWebSocket.made = [];
			// No document, no events of a page, no crypto, no structuredClone.
			const scope = { WebSocket: NativeWebSocket, setTimeout, clearTimeout, setInterval, clearInterval, queueMicrotask, atob, btoa,
				TextEncoder, TextDecoder, Uint8Array, ArrayBuffer, console, navigator: { product: 'ReactNative' }, out: undefined };
			vm.runInNewContext(`${source}\nout = app.run;`, scope);
			const run = scope.out as unknown as (url: string, codec: boolean, vanish: () => void) => Promise<string>;
			const outcome = JSON.parse(await run(broker.url, codec, () => NativeWebSocket.made.at(-1)?.vanish()));
			assert.deepEqual(outcome, { seen: [{ text: 'hé' }, [0, 255], 3, 4], recovered: [true], state: 'closed' });
			assert.equal(NativeWebSocket.made.length, 2);
			assert.ok(NativeWebSocket.made.every((socket) => socket.binaryType === 'arraybuffer'));
		}
	} finally {
		await broker.stop();
	}
});
