import type { Position, SubscribeOptions } from './types.js';
import type { OkEvent, SubscribedEvent } from './wire.js';

/**
 * Where a subscription is in its topic: what to ask for when subscribing, and what to drop because it was had before.
 * Pure; knows no connection.
 */
export class Cursor {
	#at: Position | undefined;
	/** Nothing up to this offset of the epoch is delivered again. */
	#seen = -1;
	/** The beginning that was promised (past messages, a snapshot) has not begun to arrive. */
	#restart = false;
	/** The last request had no position. */
	#fresh = true;
	#latest: boolean;
	readonly #last: number;

	constructor({ since, last = 0, maxRate }: SubscribeOptions) {
		this.#last = last;
		this.#latest = maxRate !== undefined;
		this.#at = since && { epoch: since.epoch, offset: since.offset };
		if (since) this.#seen = since.offset;
	}

	/** Has everything up to here; `undefined` before the first confirmation. */
	get position(): Position | undefined {
		return this.#at && { ...this.#at };
	}

	/** The epoch that messages have now. */
	get epoch(): string {
		return this.#at?.epoch ?? '';
	}

	/** The fields of a `subscribe` that goes on from here. */
	request(): { since?: Position | undefined; last?: number | undefined } {
		this.#fresh = !this.#at || this.#restart;
		return this.#fresh ? { last: this.#last || undefined } : { since: this.position };
	}

	/** The broker confirmed. Whether everything missed follows; `undefined` at the very beginning. */
	confirm({ epoch, offset, recovered, kind }: OkEvent | SubscribedEvent): boolean | undefined {
		// A document begins with its state, so it starts over from the beginning, too.
		if (kind) this.#latest = kind === 'latest' || kind === 'document';
		if (recovered) return true;
		const before = this.#at;
		const same = before?.epoch === epoch;
		const whole = same && this.#fresh && (this.#latest || offset - before.offset <= this.#last);
		if (!same || offset < this.#seen) this.#seen = -1;
		this.#at = { epoch, offset };
		this.#restart = offset > 0 && (this.#latest || (this.#fresh && this.#last > 0));
		return before && whole;
	}

	/** A message came. False: it was had before. */
	advance(offset: number, keyed: boolean): boolean {
		if (!this.#at || offset <= this.#seen) return false;
		this.#latest ||= keyed;
		this.#seen = this.#at.offset = offset;
		this.#restart = false;
		return true;
	}

	/** The broker said that nothing before `next` will come. */
	skip(epoch: string, next: number): void {
		this.#seen = next - 1;
		this.#at = { epoch, offset: next - 1 };
		this.#restart = false;
	}
}
