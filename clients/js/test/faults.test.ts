// Through a proxy that cuts, delays, half-closes, stalls and garbles: nothing lost, nothing twice, nothing out of order.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { json } from '../src/codec.js';
import { msgpack } from '../src/msgpack.js';
import { Fanwire } from '../src/node.js';
import type { FanwireOptions } from '../src/types.js';
import { Broker, skip } from './support/broker.js';
import { type Fault, FaultProxy } from './support/proxy.js';
import { Random } from './support/random.js';
import { pause, until } from './support/wait.js';

const SEED = Number(process.env.FANWIRE_FAULT_SEED ?? 20261121);
/** Connections that something happens to, for each codec. */
const ROUNDS = Number(process.env.FANWIRE_FAULT_ROUNDS ?? 400);
const PUBLISHERS = 2;
/** Bytes after which, on average, something happens to a connection. */
const PATIENCE = 3000;
/** Publishes without an answer at a time: the history, which is what is resumed from, holds 1000 messages. */
const OUTSTANDING = 200;
const OPTIONS: FanwireOptions = {
	backoff: { minMs: 2, maxMs: 20, stableMs: 50 },
	pingIntervalMs: 60,
	pingTimeoutMs: 60,
	connectTimeoutMs: 300,
};
/** Overwritten bytes within a frame are noticed where text must be UTF-8; MessagePack has no such redundancy. */
const TEXT: Fault[] = ['cut', 'delay', 'half-close', 'stall', 'refuse', 'garble'];
const BINARY: Fault[] = ['cut', 'delay', 'half-close', 'stall', 'refuse'];

describe(`faults, seed ${SEED}`, { skip }, () => {
	let broker: Broker;
	const rejections: unknown[] = [];
	const note = (reason: unknown) => rejections.push(reason);
	before(async () => {
		process.on('unhandledRejection', note);
		broker = await Broker.start();
	});
	after(async () => {
		process.off('unhandledRejection', note);
		await broker.stop();
	});

	for (const [codec, faults] of [
		[json, TEXT],
		[msgpack, BINARY],
	] as const) {
		test(`${codec.protocol} over ${ROUNDS} mistreated connections`, { timeout: 120_000 }, async (t) => {
			const random = new Random(SEED);
			const proxy = await FaultProxy.start(broker.port, random, faults, PATIENCE);
			const topic = `chat:faults-${codec.protocol}`;
			const options = { ...OPTIONS, codec };
			const clients: Fanwire[] = [];
			t.after(async () => {
				for (const client of clients) client.close();
				await proxy.stop();
			});
			const witness = new Fanwire(broker.url);
			const witnessed = listen(witness, topic);
			const reader = new Fanwire(proxy.url, options);
			const read = listen(reader, topic);
			const publishers = Array.from({ length: PUBLISHERS }, () => new Fanwire(proxy.url, options));
			clients.push(witness, reader, ...publishers);
			await until('the reader is there', () =>
				[read, witnessed].every(({ subscription }) => subscription.state === 'live'),
			);

			const sent: string[][] = publishers.map(() => []);
			const answers: Promise<{ offset: number }>[] = [];
			let answered = 0;
			while (proxy.connections < ROUNDS) {
				for (const [i, publisher] of publishers.entries()) {
					if (answers.length - answered > OUTSTANDING) break;
					const text = `${i}-${sent[i]?.length} ${'é'.repeat(random.below(60))}`;
					sent[i]?.push(text);
					const answer = publisher.publish(topic, text);
					answer.then(() => answered++);
					answers.push(answer);
				}
				await pause(random.below(4));
			}
			proxy.active = false;
			const offsets = (await Promise.all(answers)).map(({ offset }) => offset);
			await until('everything was read', () => read.messages.length >= answers.length);
			await pause(50);

			assert.deepEqual(witnessed.messages, read.messages, 'reader and witness saw the same');
			assert.equal(new Set(offsets).size, offsets.length, 'one offset for every message');
			for (const [i, texts] of sent.entries()) {
				assert.deepEqual(
					read.messages.filter((text) => text.startsWith(`${i}-`)),
					texts,
					'every message once, in order',
				);
			}
			assert.deepEqual(read.iterated, read.messages);
			assert.deepEqual(read.losses, []);
			assert.deepEqual(rejections, []);
			for (const fault of faults) assert.ok(proxy.struck.get(fault), `${fault} never happened`);
			console.log(`${answers.length} messages, ${proxy.connections} connections, ${JSON.stringify([...proxy.struck])}`);
		});
	}
});

/** What a client gets of a topic, by events and by iteration. */
function listen(client: Fanwire, topic: string) {
	const subscription = client.subscribe<string>(topic);
	const seen = { subscription, messages: [] as string[], iterated: [] as string[], losses: [] as unknown[] };
	subscription.on('message', ({ data }) => seen.messages.push(data));
	subscription.on('gap', (gap) => seen.losses.push(gap));
	subscription.on('recovered', (back) => back.recovered || seen.losses.push(back));
	(async () => {
		for await (const { data } of subscription) seen.iterated.push(data);
	})();
	return seen;
}
