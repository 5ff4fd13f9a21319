import { type Codec, readEvents } from './codec.js';
import { LATE_TIMER_MS, PING_INTERVAL_MS, PING_TIMEOUT_MS } from './limits.js';
import type { Disconnect, FanwireOptions, WebSocketLike } from './types.js';
import type { Command, Reply, WireEvent } from './wire.js';

/** What a connection tells its owner. */
export interface ConnectionHooks {
	/** An event that answers no {@link Connection.request}. */
	event(event: WireEvent): void;
	/** It is over; said once, and nothing after it. */
	closed(end: Disconnect): void;
}

/** Ids of commands: unique in the program, so that an answer can never be taken for another's. */
let lastId = 0;

/** The next id. */
export function nextId(): number {
	return ++lastId;
}

/** One socket from opening to its end: frames, answers to its own commands, signs of life. */
export class Connection {
	#socket: WebSocketLike | undefined;
	#replies = new Map<number, (reply: Reply) => void>();
	#timer: ReturnType<typeof setTimeout> | undefined;
	#heard = false;
	#probing = false;
	readonly #codec: Codec;
	readonly #hooks: ConnectionHooks;
	readonly #pingInterval: number;
	readonly #pingTimeout: number;

	constructor(socket: WebSocketLike, codec: Codec, options: FanwireOptions, hooks: ConnectionHooks) {
		this.#socket = socket;
		this.#codec = codec;
		this.#hooks = hooks;
		this.#pingInterval = options.pingIntervalMs ?? PING_INTERVAL_MS;
		this.#pingTimeout = options.pingTimeoutMs ?? PING_TIMEOUT_MS;
		socket.binaryType = 'arraybuffer';
		socket.onmessage = (event) => this.#receive(event.data);
		socket.onerror = (event) => this.fail((event as Partial<Error>)?.message ?? 'socket error');
		socket.onclose = ({ code = 1006, reason = '' }) => this.#end({ code, reason });
		this.#rest();
	}

	/** Sends a frame. */
	send(frame: string | Uint8Array): void {
		try {
			this.#socket?.send(frame);
		} catch {
			// Not open any more: its close event is on the way.
		}
	}

	/** Sends a command; the answer is lost if the connection is. */
	request(command: Command, answered: (reply: Reply) => void): void {
		const id = nextId();
		this.#replies.set(id, answered);
		this.send(this.#codec.encode({ ...command, id }));
	}

	/** Asks for a sign of life; without one in time the connection is over. */
	probe(): void {
		if (!this.#probing) this.#ask();
	}

	/** Gives the connection up without waiting for the peer. */
	fail(reason: string): void {
		this.#end({ code: 1006, reason }, true);
	}

	/** Closes in good order. The owner hears nothing more. */
	close(): void {
		this.#detach()?.close(1000);
	}

	#ask(): void {
		this.#probing = true;
		this.#heard = false;
		this.request({ type: 'ping' }, ignore);
		this.#wait(this.#pingTimeout, (late) => {
			if (this.#heard) this.#rest();
			else if (late) this.#ask();
			else this.fail('no sign of life');
		});
	}

	#rest(): void {
		this.#probing = false;
		this.#heard = false;
		this.#wait(this.#pingInterval, () => (this.#heard ? this.#rest() : this.#ask()));
	}

	#wait(ms: number, then: (late: boolean) => void): void {
		clearTimeout(this.#timer);
		const due = Date.now() + ms;
		if (this.#socket) this.#timer = setTimeout(() => then(Date.now() > due + LATE_TIMER_MS), ms);
	}

	#receive(frame: unknown): void {
		this.#heard = true;
		let events: WireEvent[];
		try {
			events = readEvents(this.#codec, frame);
		} catch (error) {
			return this.fail(`unreadable frame: ${error}`);
		}
		for (const event of events) if (this.#socket) this.#dispatch(event);
	}

	#dispatch(event: WireEvent): void {
		const id = 'id' in event && event.id;
		const answered = id && this.#replies.get(id);
		if (!answered) return this.#hooks.event(event);
		this.#replies.delete(id);
		answered(event as Reply);
	}

	#end(end: Disconnect, abrupt = false): void {
		const socket = this.#detach();
		if (!socket) return;
		if (abrupt) socket.terminate ? socket.terminate() : socket.close();
		this.#hooks.closed(end);
	}

	#detach(): WebSocketLike | undefined {
		const socket = this.#socket;
		this.#socket = undefined;
		clearTimeout(this.#timer);
		if (socket) socket.onmessage = socket.onclose = socket.onerror = ignore;
		return socket;
	}
}

function ignore(): void {}
