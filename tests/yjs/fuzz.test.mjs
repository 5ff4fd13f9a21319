// A slice of the convergence runs; `node fuzz.mjs` makes as many as one likes.
import { test } from 'node:test';
import { run } from './fuzz.mjs';

for (const seed of [1, 2, 3, 4, 5, 6]) {
  test(`clients converge, seed ${seed}`, () => run(seed));
}
