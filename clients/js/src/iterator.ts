import { FanwireError } from './errors.js';

/** Who waits for the next message. */
interface Reader<T> {
	resolve(result: IteratorResult<T>): void;
	reject(error: unknown): void;
}

/** Messages between a subscription and one `for await` loop: a bounded buffer. */
export class MessageIterator<T> implements AsyncIterableIterator<T> {
	/** With `overflow: 'drop-oldest'`: how many messages were forgotten because the reader was too slow. */
	dropped = 0;
	#items: T[] = [];
	#readers: Reader<T>[] = [];
	#over = false;
	#error: FanwireError | undefined;
	readonly #limit: number;
	readonly #dropOldest: boolean;
	readonly #detach: (self: MessageIterator<T>) => void;

	/** @internal */
	constructor(limit: number, dropOldest: boolean, detach: (self: MessageIterator<T>) => void) {
		this.#limit = limit;
		this.#dropOldest = dropOldest;
		this.#detach = detach;
	}

	/** @internal */
	push(item: T): void {
		const reader = this.#readers.shift();
		if (reader) reader.resolve({ value: item, done: false });
		else if (this.#items.length < this.#limit) this.#items.push(item);
		else if (this.#dropOldest) {
			this.#items.shift();
			this.#items.push(item);
			this.dropped++;
		} else this.finish(new FanwireError('overflow', `the reader is more than ${this.#limit} messages behind`));
	}

	/** Nothing more comes; what is buffered is still delivered, then the error, if any. @internal */
	finish(error?: FanwireError): void {
		if (this.#over) return;
		this.#over = true;
		this.#error = error;
		this.#detach(this);
		for (const reader of this.#readers.splice(0)) this.#last(reader);
	}

	/** The next message, when it is there. */
	next(): Promise<IteratorResult<T>> {
		return new Promise((resolve, reject) => {
			const item = this.#items.shift();
			if (item !== undefined) resolve({ value: item, done: false });
			else if (this.#over) this.#last({ resolve, reject });
			else this.#readers.push({ resolve, reject });
		});
	}

	/** Stops reading; the subscription goes on. A `break` in a loop does this. */
	async return(): Promise<IteratorResult<T>> {
		this.#items = [];
		this.finish();
		return { value: undefined, done: true };
	}

	[Symbol.asyncIterator](): this {
		return this;
	}

	#last({ resolve, reject }: Reader<T>): void {
		const error = this.#error;
		this.#error = undefined;
		if (error) reject(error);
		else resolve({ value: undefined, done: true });
	}
}
