// The protocol's shared vectors: every event means the same in both encodings, every request is written as the vector says.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type Codec, json, readEvents } from '../src/codec.js';
import { msgpack } from '../src/msgpack.js';
import { type Command, toMessage, type WireEvent, type WireMessage } from '../src/wire.js';

const FOLDER = new URL('../../../proto/vectors/', import.meta.url);

interface Vector {
	name: string;
	direction: 'request' | 'event';
	json?: string;
	msgpack_hex?: string;
	outcomes: unknown[];
}

const vectors: Vector[] = readdirSync(FOLDER).map((file) => JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')));
const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));

/** An event with its payloads as programs see them. */
function seen(event: WireEvent): unknown {
	if (event.type === 'message') return { ...toMessage(event, 'e'), type: 'message' };
	if (event.type !== 'ok' || !event.messages) return event;
	return { ...event, messages: event.messages.map((message: WireMessage) => toMessage(message, 'e')) };
}

for (const vector of vectors.filter((one) => one.direction === 'event')) {
	test(`event: ${vector.name}`, () => {
		const text = readEvents(json, vector.json).map(seen);
		const binary = readEvents(msgpack, bytes(vector.msgpack_hex as string)).map(seen);
		assert.equal(text.length, vector.outcomes.length);
		assert.deepEqual(binary, text);
	});
}

/** A request of a vector as this client would hold it before writing. */
function command(vector: Vector): Command | undefined {
	const value = JSON.parse(vector.json as string);
	if (Array.isArray(value) || value.later) return undefined;
	const { b64, ...rest } = value;
	return b64 === undefined ? rest : { ...rest, data: new Uint8Array(Buffer.from(b64, 'base64')) };
}

/** What is on the wire, without the fields that are there in name only. */
function written(codec: Codec, frame: unknown): unknown {
	const value = codec.decode(frame) as Record<string, unknown>;
	return Object.fromEntries(Object.entries(value).filter(([name, field]) => name === 'data' || field !== null));
}

const taken = (vector: Vector) => vector.outcomes.length === 1 && vector.outcomes[0] === 'taken';

for (const vector of vectors.filter((one) => one.direction === 'request' && one.json && taken(one))) {
	const request = command(vector);
	if (!request) continue;
	test(`request: ${vector.name}`, () => {
		assert.deepEqual(written(json, json.encode(request)), written(json, vector.json));
		if (vector.name === 'request_publish_b64_msgpack') return; // Another spelling of bytes than the one written here.
		const expected = written(msgpack, bytes(vector.msgpack_hex as string));
		assert.deepEqual(written(msgpack, msgpack.encode(request)), expected);
	});
}

test('there were vectors', () => {
	assert.ok(vectors.length > 80);
});

test('frames that hold no events are refused', () => {
	for (const frame of ['', '{', '7', 'null', '[null]', '{"id":1}', '[{"type":7}]', '{}{}']) {
		assert.throws(() => readEvents(json, frame), frame);
	}
	assert.throws(() => readEvents(msgpack, bytes('c1')));
	assert.throws(() => readEvents(json, '{"type":"pong","x":1e'));
});
