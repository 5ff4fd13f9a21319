// A thousand reconnections leave nothing behind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fanwire } from '../src/node.js';
import { Broker, skip } from './support/broker.js';
import { FaultProxy } from './support/proxy.js';
import { Random } from './support/random.js';
import { pause, until } from './support/wait.js';

const RECONNECTS = 1000;
/** Heap may differ by this much for other reasons: code being compiled, sockets not collected yet. */
const HEAP_NOISE_BYTES = 1_500_000;

declare const gc: () => void;

function resources(): Record<string, number> {
	const counts: Record<string, number> = {};
	for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1;
	return counts;
}

async function heap(): Promise<number> {
	for (let i = 0; i < 3; i++) {
		gc();
		await pause(20);
	}
	return process.memoryUsage().heapUsed;
}

test(`${RECONNECTS} reconnections`, { skip, timeout: 120_000 }, async (t) => {
	const rejections: unknown[] = [];
	const note = (reason: unknown) => rejections.push(reason);
	process.on('unhandledRejection', note);
	const platform = new Map<string, number>();
	Object.assign(globalThis, {
		addEventListener: (name: string) => platform.set(name, (platform.get(name) ?? 0) + 1),
		removeEventListener: (name: string) => platform.set(name, (platform.get(name) ?? 0) - 1),
	});
	const broker = await Broker.start();
	const proxy = await FaultProxy.start(broker.port, new Random(1), []);
	const client = new Fanwire(proxy.url, { backoff: { minMs: 0, maxMs: 0 }, token: () => undefined });
	const end = async () => {
		client.close();
		await proxy.stop();
		await broker.stop();
		await pause(50);
	};
	t.after(end);
	for (let i = 0; i < 5; i++) client.subscribe(`chat:leak-${i}`, { presence: true });
	let cuts = 0;
	client.on('disconnect', () => cuts++);
	const reconnect = async (times: number) => {
		for (let i = 0; i < times; i++) {
			await until('open', () => client.state === 'open');
			const before = cuts;
			const sent = client.publish('chat:leak-0', i);
			if (i % 2) await sent;
			proxy.cutAll();
			await until('cut', () => cuts > before);
			await sent;
		}
		await until('open', () => client.state === 'open');
		await pause(50);
	};

	await reconnect(200);
	const before = { resources: resources(), heap: await heap(), connections: proxy.connections };
	await reconnect(RECONNECTS);
	const after = { resources: resources(), heap: await heap() };
	assert.ok(proxy.connections - before.connections >= RECONNECTS);
	assert.deepEqual(after.resources, before.resources, 'as many timers and sockets as before');
	assert.ok(after.heap - before.heap < HEAP_NOISE_BYTES, `the heap grew by ${after.heap - before.heap} bytes`);
	assert.deepEqual([...platform.values()], [1, 1, 1], 'one listener for each event of the platform');

	await end();
	assert.deepEqual([...platform.values()], [0, 0, 0]);
	const { Timeout = 0, TCPSocketWrap = 0 } = resources();
	assert.ok(Timeout <= 1, `${Timeout} timers left`); // One is this test's own limit.
	assert.equal(TCPSocketWrap, 0);
	assert.deepEqual(rejections, []);
	process.off('unhandledRejection', note);
	Reflect.deleteProperty(globalThis, 'addEventListener');
	Reflect.deleteProperty(globalThis, 'removeEventListener');
});
