import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cursor } from '../src/cursor.js';
import type { OkEvent } from '../src/wire.js';

const ok = (epoch: string, offset: number, fields: Partial<OkEvent> = {}) => ({ epoch, offset, ...fields }) as OkEvent;

test('a log goes on after its last message', () => {
	const cursor = new Cursor({});
	assert.deepEqual(cursor.request(), { last: undefined });
	assert.equal(cursor.confirm(ok('a', 57)), undefined);
	assert.deepEqual(cursor.request(), { since: { epoch: 'a', offset: 57 } });
	assert.equal(cursor.confirm(ok('a', 60, { recovered: true })), true);
	assert.equal(cursor.advance(58, false), true);
	assert.equal(cursor.advance(60, false), true);
	assert.deepEqual(cursor.request(), { since: { epoch: 'a', offset: 60 } });
});

test('nothing is taken twice within an epoch', () => {
	const cursor = new Cursor({});
	cursor.confirm(ok('a', 5));
	assert.equal(cursor.advance(7, false), true);
	assert.equal(cursor.advance(7, false), false);
	assert.equal(cursor.advance(6, false), false);
	cursor.request();
	assert.equal(cursor.confirm(ok('b', 3, { recovered: false })), false);
	assert.equal(cursor.advance(4, false), true);
});

test('past messages at the start come below the confirmed offset, and resume goes on in their middle', () => {
	const cursor = new Cursor({ last: 20 });
	assert.deepEqual(cursor.request(), { last: 20 });
	cursor.confirm(ok('a', 57));
	assert.equal(cursor.advance(38, false), true);
	assert.deepEqual(cursor.request(), { since: { epoch: 'a', offset: 38 } });
});

test('a start whose past messages never came is made again, and a hole in it is told', () => {
	const cursor = new Cursor({ last: 3 });
	cursor.request();
	cursor.confirm(ok('a', 57));
	assert.deepEqual(cursor.request(), { last: 3 });
	assert.equal(cursor.confirm(ok('a', 59)), true, 'the last three reach back to before the loss');
	assert.deepEqual(cursor.request(), { last: 3 });
	assert.equal(cursor.confirm(ok('a', 90)), false);
	assert.deepEqual(cursor.request(), { last: 3 });
	assert.equal(cursor.confirm(ok('b', 1)), false);
});

test('a snapshot that never came is asked for again', () => {
	for (const [cursor, kind] of [
		[new Cursor({ maxRate: 2 }), undefined],
		[new Cursor({}), 'latest'],
	] as const) {
		cursor.request();
		cursor.confirm(ok('a', 9, kind ? { kind } : {}));
		assert.deepEqual(cursor.request(), { last: undefined });
		assert.equal(cursor.confirm(ok('a', 12, kind ? { kind } : {})), true);
		assert.equal(cursor.advance(7, true), true);
		assert.deepEqual(cursor.request(), { since: { epoch: 'a', offset: 7 } });
	}
});

test('an empty topic has no snapshot to wait for', () => {
	const cursor = new Cursor({ maxRate: 2 });
	cursor.confirm(ok('a', 0));
	assert.deepEqual(cursor.request(), { since: { epoch: 'a', offset: 0 } });
});

test('what was seen before a fruitless resume is not taken again from a snapshot', () => {
	const cursor = new Cursor({});
	cursor.confirm(ok('a', 0));
	cursor.advance(41, true);
	cursor.request();
	assert.equal(cursor.confirm(ok('a', 57, { recovered: false })), false);
	assert.equal(cursor.advance(41, true), false);
	assert.equal(cursor.advance(50, true), true);
});

test('a gap moves on to just before what comes next', () => {
	const cursor = new Cursor({ since: { epoch: 'a', offset: 4 } });
	assert.deepEqual(cursor.request(), { since: { epoch: 'a', offset: 4 } });
	cursor.confirm(ok('a', 200, { recovered: true }));
	cursor.skip('a', 103);
	assert.deepEqual(cursor.position, { epoch: 'a', offset: 102 });
	assert.equal(cursor.advance(102, false), false);
	assert.equal(cursor.advance(103, false), true);
});
