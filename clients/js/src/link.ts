import { Backoff } from './backoff.js';
import { json } from './codec.js';
import { Connection } from './connection.js';
import { FanwireError, refusal } from './errors.js';
import { CONNECT_TIMEOUT_MS, GOODBYE_MAX_MS, STABLE_MS } from './limits.js';
import { Tokens } from './tokens.js';
import type { ClientState, Disconnect, FanwireOptions, WebSocketClass } from './types.js';
import type { GoodbyeEvent, WelcomeEvent, WireEvent } from './wire.js';

/** What a link tells its owner. */
export interface LinkHooks {
	/** The connection is usable: welcomed and, with a token, authenticated. */
	open(connection: Connection, welcome: WelcomeEvent): void;
	/** The broker is about to close it: send nothing new. */
	leaving(): void;
	/** It is not usable any more. */
	lost(): void;
	/** Every other event of the connection. */
	event(event: WireEvent): void;
	state(state: ClientState): void;
	disconnect(end: Disconnect): void;
	error(error: FanwireError): void;
	/** A token that was renewed names this user. */
	user(user: string | undefined): void;
	/** It is over for good. */
	closed(error: FanwireError): void;
}

/** Finds a `WebSocket` class where the platform has no global one. */
export type FindWebSocket = () => Promise<WebSocketClass | undefined>;

/** Keeps one usable connection: connects, authenticates, replaces tokens, comes back after losses, obeys the broker. */
export class Link {
	state: ClientState = 'idle';
	#connection: Connection | undefined;
	/** The end of the attempt, then the next attempt, whichever is going on. */
	#timer: ReturnType<typeof setTimeout> | undefined;
	/** Grows with every attempt, so that what an abandoned one still awaits comes to nothing. */
	#turn = 0;
	#openedAt = 0;
	#goodbye: GoodbyeEvent | undefined;
	/** A goodbye was obeyed, and no connection has lasted since. */
	#sentAway = false;
	readonly #backoff: Backoff;
	readonly #tokens: Tokens;

	constructor(
		readonly url: string,
		readonly options: FanwireOptions,
		readonly findWebSocket: FindWebSocket,
		readonly hooks: LinkHooks,
	) {
		this.#backoff = new Backoff(options.backoff);
		this.#tokens = new Tokens(options.token, hooks.error, hooks.user);
	}

	/** Listeners called in between may have ended it. */
	isClosed(): boolean {
		return this.state === 'closed';
	}

	/** Starts, or tries at once what waits for its time, or makes sure that the connection lives. */
	wake(): void {
		if (this.state === 'open') this.#connection?.probe();
		else if (this.state === 'idle' || (this.state === 'waiting' && !this.#goodbye)) this.#attempt();
	}

	/** Makes sure that the connection lives, if there is one. */
	doubt(): void {
		if (this.state === 'open') this.#connection?.probe();
	}

	/** What was sent did not arrive as it was: starts over with another connection. */
	distrust(error: FanwireError): void {
		this.#fail(error.code, error);
	}

	/** Ends it for good. */
	stop(error: FanwireError): void {
		if (this.isClosed()) return;
		this.#drop()?.close();
		if (this.isClosed()) return;
		this.#set('closed');
		this.hooks.closed(error);
	}

	async #attempt(): Promise<void> {
		const turn = ++this.#turn;
		this.#goodbye = undefined;
		this.#after(this.options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS, () => this.#fail('not connected in time'));
		this.#set('connecting');
		try {
			const Socket = this.options.WebSocket ?? globalThis.WebSocket ?? (await this.findWebSocket());
			if (!Socket) return this.stop(new FanwireError('no_websocket', 'pass `WebSocket` in the options'));
			const token = await this.#tokens.get();
			if (turn === this.#turn) this.#connect(Socket, token);
		} catch (error) {
			if (turn === this.#turn) this.#fail(String(error), error as Error);
		}
	}

	#connect(Socket: WebSocketClass, token: string | undefined): void {
		const codec = this.options.codec ?? json;
		const socket = new Socket(this.url, [codec.protocol]);
		const connection = new Connection(socket, codec, this.options, {
			closed: (end) => this.#closed(end),
			event: (event) => {
				if (event.type === 'welcome') this.#welcome(connection, event, token);
				else if (event.type === 'goodbye') this.#leave(event);
				else this.hooks.event(event);
			},
		});
		this.#connection = connection;
	}

	#welcome(connection: Connection, welcome: WelcomeEvent, token: string | undefined): void {
		if (!token) return this.#opened(connection, welcome);
		connection.request({ type: 'auth', token }, (reply) => {
			if (reply.type === 'error') return this.#refused(reply.code, refusal(reply));
			this.#tokens.keep(connection, reply);
			this.#opened(connection, { ...welcome, ...('user' in reply && { user: reply.user as string }) });
		});
	}

	/** A token that is a string will not get better; a callback may give another. */
	#refused(code: string, error: FanwireError): void {
		if (error.retry || this.#tokens.renewable) this.#fail(code, error);
		else this.stop(error);
	}

	#opened(connection: Connection, welcome: WelcomeEvent): void {
		clearTimeout(this.#timer);
		this.#openedAt = Date.now();
		this.#set('open');
		if (this.#connection === connection) this.hooks.open(connection, welcome);
	}

	/** Nothing new is sent on a connection that is about to end. */
	#leave(goodbye: GoodbyeEvent): void {
		this.#goodbye = goodbye;
		this.hooks.leaving();
	}

	#closed(end: Disconnect): void {
		const { code, reason } = end;
		const goodbye = this.#goodbye;
		this.#drop();
		if (this.isClosed()) return;
		const renewable = code === 4001 && this.#tokens.renewable;
		const told = code >= 4000 && code < 4100 && !renewable;
		if (told || goodbye?.reconnect === false) {
			this.hooks.disconnect(end);
			this.stop(new FanwireError('stopped', `the broker said: ${goodbye?.code ?? `${code} ${reason}`}`));
			return;
		}
		// A broker that says goodbye to everyone who comes must not be asked all the time.
		const pause = goodbye && !this.#sentAway ? 0 : this.#backoff.next();
		const retryMs = Math.max(Math.min(goodbye?.after_ms ?? 0, GOODBYE_MAX_MS), pause);
		this.#sentAway ||= !!goodbye;
		this.#after(retryMs, () => this.#attempt());
		this.#set('waiting');
		this.hooks.disconnect({ code, reason, retryMs });
	}

	/** The attempt came to nothing. */
	#fail(reason: string, error?: Error): void {
		if (error) this.hooks.error(error instanceof FanwireError ? error : new FanwireError('internal', reason, true));
		const connection = this.#connection;
		if (connection) connection.fail(reason);
		else if (this.state === 'connecting') this.#closed({ code: 1006, reason });
	}

	/** Leaves the present connection or attempt behind. */
	#drop(): Connection | undefined {
		const connection = this.#connection;
		this.#turn++;
		this.#connection = undefined;
		clearTimeout(this.#timer);
		this.#tokens.stop();
		const stable = this.options.backoff?.stableMs ?? STABLE_MS;
		if (this.state === 'open' && Date.now() - this.#openedAt >= stable) {
			this.#backoff.reset();
			this.#sentAway = false;
		}
		if (this.state === 'open') this.hooks.lost();
		return connection;
	}

	#after(ms: number, then: () => void): void {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(then, ms);
	}

	#set(state: ClientState): void {
		this.state = state;
		this.hooks.state(state);
	}
}
