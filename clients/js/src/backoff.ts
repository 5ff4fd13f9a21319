import { BACKOFF_MAX_MS, BACKOFF_MIN_MS } from './limits.js';
import type { BackoffOptions } from './types.js';

/** Pauses with full jitter: random between 0 and a bound that doubles up to a cap, so that clients do not come in waves. */
export class Backoff {
	#bound: number;
	readonly #min: number;
	readonly #max: number;

	constructor({ minMs = BACKOFF_MIN_MS, maxMs = BACKOFF_MAX_MS }: BackoffOptions = {}) {
		this.#min = minMs;
		this.#max = maxMs;
		this.#bound = minMs;
	}

	/** Milliseconds to wait before the next attempt. */
	next(): number {
		const bound = Math.min(this.#bound, this.#max);
		this.#bound = bound * 2;
		return Math.random() * bound;
	}

	/** An attempt succeeded. */
	reset(): void {
		this.#bound = this.#min;
	}
}
