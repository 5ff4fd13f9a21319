import { FanwireError, refusal } from './errors.js';
import { DEDUPE_MS, QUEUE_BYTES, QUEUE_COUNT } from './limits.js';
import type { FanwireOptions } from './types.js';
import type { OkEvent, Reply } from './wire.js';

/**
 * What becomes of a command whose answer was lost with the connection: `read` is asked again at any time, `write` while
 * the broker still knows its message id, `once` never.
 */
export type Resend = 'read' | 'write' | 'once';

interface Entry {
	frame: string | Uint8Array;
	size: number;
	resend: Resend;
	sentAt: number | undefined;
	resolve(reply: OkEvent): void;
	reject(error: FanwireError): void;
}

/** A connection, as far as sending goes. */
export interface Line {
	send(frame: string | Uint8Array): void;
	/** Largest frame that the broker reads. */
	maxBytes: number;
}

/**
 * Commands that are kept until they are answered, in the order of the calls: sent at once while there is a connection,
 * and all of them again, in the same order, on the next one. Bounded in count and bytes; what exceeds is refused.
 */
export class Outbox {
	#entries = new Map<number, Entry>();
	#bytes = 0;
	#line: Line | undefined;
	readonly #maxCount: number;
	readonly #maxBytes: number;
	readonly #dedupeMs: number;

	constructor({ queueCount = QUEUE_COUNT, queueBytes = QUEUE_BYTES, dedupeMs = DEDUPE_MS }: FanwireOptions) {
		this.#maxCount = queueCount;
		this.#maxBytes = queueBytes;
		this.#dedupeMs = dedupeMs;
	}

	/** Takes a command; settles when it is answered or given up. */
	add(id: number, frame: Entry['frame'], size: number, resend: Resend): Promise<OkEvent> {
		return new Promise((resolve, reject) => {
			if (resend === 'once' && !this.#line) reject(new FanwireError('offline', 'there is no connection', true));
			else if (this.#entries.size >= this.#maxCount || this.#bytes + size > this.#maxBytes) {
				reject(new FanwireError('queue_full', 'too many commands wait for an answer', true));
			} else {
				const entry: Entry = { frame, size, resend, sentAt: undefined, resolve, reject };
				this.#entries.set(id, entry);
				this.#bytes += size;
				this.#send(id, entry);
			}
		});
	}

	/** There is a connection: everything unanswered goes out on it. */
	online(line: Line): void {
		this.#line = line;
		for (const [id, entry] of this.#entries) this.#send(id, entry);
	}

	/** The connection takes nothing new; answers may still come. */
	pause(): void {
		this.#line = undefined;
	}

	/** The connection is gone. */
	offline(): void {
		this.#line = undefined;
		for (const [id, { resend }] of this.#entries) if (resend === 'once') this.#reject(id, lost());
	}

	/** A reply came. False: it answers nothing here. */
	settle(reply: Reply): boolean {
		const entry = this.#entries.get(reply.id as number);
		if (!entry) return false;
		if (reply.type === 'error' && reply.code === 'draining' && entry.resend !== 'once') entry.sentAt = undefined;
		else if (reply.type === 'error') this.#reject(reply.id as number, refusal(reply));
		else this.#take(reply.id as number)?.resolve(reply as OkEvent);
		return true;
	}

	/** Gives everything up. */
	clear(error: FanwireError): void {
		this.#line = undefined;
		for (const [id, { sentAt, resend }] of this.#entries) {
			this.#reject(id, sentAt !== undefined && resend !== 'read' ? lost() : error);
		}
	}

	#send(id: number, entry: Entry): void {
		const line = this.#line;
		if (!line) return;
		if (entry.size > line.maxBytes) {
			this.#reject(id, new FanwireError('too_large', `the broker reads frames of up to ${line.maxBytes} bytes`));
		} else if (entry.resend !== 'read' && entry.sentAt !== undefined && Date.now() - entry.sentAt > this.#dedupeMs) {
			this.#reject(id, lost());
		} else {
			entry.sentAt ??= Date.now();
			line.send(entry.frame);
		}
	}

	#reject(id: number, error: FanwireError): void {
		this.#take(id)?.reject(error);
	}

	#take(id: number): Entry | undefined {
		const entry = this.#entries.get(id);
		this.#entries.delete(id);
		this.#bytes -= entry?.size ?? 0;
		return entry;
	}
}

function lost(): FanwireError {
	return new FanwireError('outcome_unknown', 'the connection was lost before the answer');
}
