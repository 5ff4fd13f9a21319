/** The same numbers for the same seed (mulberry32). */
export class Random {
	#state: number;

	constructor(seed: number) {
		this.#state = seed;
	}

	/** From 0 up to 1. */
	next(): number {
		this.#state = (this.#state + 0x6d2b79f5) | 0;
		let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	}

	/** An integer below the limit. */
	below(limit: number): number {
		return Math.floor(this.next() * limit);
	}

	/** One of them. */
	pick<T>(items: readonly T[]): T {
		return items[this.below(items.length)] as T;
	}
}
