import { Backoff } from './backoff.js';
import type { Connection } from './connection.js';
import { FanwireError, refusal } from './errors.js';
import { REFRESH_MIN_MS, REFRESH_PART, TIMER_MAX_MS } from './limits.js';
import type { Token } from './types.js';
import type { Reply } from './wire.js';

/** Gets tokens, and replaces the one of a connection before it ends. */
export class Tokens {
	/** Whether asking again may give another one. */
	readonly renewable: boolean;
	#timer: ReturnType<typeof setTimeout> | undefined;
	/** The connection whose token is looked after. */
	#connection: Connection | undefined;
	readonly #backoff = new Backoff();

	constructor(
		readonly token: Token | undefined,
		readonly failed: (error: FanwireError) => void,
		/** Another token was taken; it may name another user. */
		readonly renewed: (user: string | undefined) => void,
	) {
		this.renewable = typeof token === 'function';
	}

	/** The token to use now. */
	async get(): Promise<string | undefined> {
		try {
			return typeof this.token === 'function' ? await this.token() : this.token;
		} catch (cause) {
			throw new FanwireError('token', `the token callback failed: ${cause}`, true, { cause });
		}
	}

	/**
	 * Looks after a token that the broker took. Its end is by the broker's clock; should this machine's differ too much,
	 * the broker closes with 4001, and the next connection gets a new token.
	 */
	keep(connection: Connection, reply: Reply): void {
		this.#connection = connection;
		this.#backoff.reset();
		if (!this.renewable || !('expires' in reply) || !reply.expires) return;
		this.#after((reply.expires - Date.now()) * REFRESH_PART);
	}

	/** The connection is gone. */
	stop(): void {
		this.#connection = undefined;
		clearTimeout(this.#timer);
	}

	#after(ms: number): void {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => this.#refresh(), Math.min(Math.max(ms, REFRESH_MIN_MS), TIMER_MAX_MS));
	}

	async #refresh(): Promise<void> {
		const connection = this.#connection;
		const check = (reply: Reply) => {
			if (reply.type === 'error') this.#again(connection, refusal(reply));
			else if (connection) {
				this.keep(connection, reply);
				this.renewed('user' in reply ? (reply.user as string) : undefined);
			}
		};
		try {
			const token = await this.get();
			if (token && connection === this.#connection) connection?.request({ type: 'auth', token }, check);
		} catch (error) {
			this.#again(connection, error as FanwireError);
		}
	}

	#again(connection: Connection | undefined, error: FanwireError): void {
		if (!connection || connection !== this.#connection) return;
		this.#after(REFRESH_MIN_MS + this.#backoff.next());
		this.failed(error);
	}
}
