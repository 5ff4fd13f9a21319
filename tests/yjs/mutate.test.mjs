// A slice of the damaged frames; `node mutate.mjs` sends a million.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from './mutate.mjs';

test('damaged frames do no harm', async () => {
  const { frames, mebibytesMost } = await run(1_000, 7);
  assert.ok(frames >= 1_000);
  // The largest thing that may be decoded is an update of 2 MiB, here they are of a few KiB.
  assert.ok(mebibytesMost < 300, `${mebibytesMost} MiB`);
});
