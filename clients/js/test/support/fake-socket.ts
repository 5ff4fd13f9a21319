import type { WebSocketLike } from '../../src/types.js';

type Json = Record<string, unknown>;

/** A socket whose peer is the test. */
export class FakeSocket implements WebSocketLike {
	/** All sockets made since the last {@link FakeSocket.reset}. */
	static all: FakeSocket[] = [];
	/** The newest. */
	static get last(): FakeSocket {
		return FakeSocket.all.at(-1) as FakeSocket;
	}
	static reset(): void {
		FakeSocket.all = [];
	}

	binaryType = '';
	onmessage: WebSocketLike['onmessage'] = null;
	onclose: WebSocketLike['onclose'] = null;
	onerror: WebSocketLike['onerror'] = null;
	/** What the client sent and no test took yet. */
	sent: Json[] = [];
	closedWith: number | undefined;
	terminated = false;

	constructor(
		readonly url: string,
		readonly protocols: string[],
	) {
		FakeSocket.all.push(this);
	}

	send(frame: string): void {
		this.sent.push(JSON.parse(frame));
	}

	close(code = 1005): void {
		this.closedWith = code;
	}

	terminate(): void {
		this.terminated = true;
	}

	/** Events from the broker. */
	receive(...events: Json[]): void {
		this.raw(JSON.stringify(events.length === 1 ? events[0] : events));
	}

	/** A frame from the broker. */
	raw(data: unknown): void {
		this.onmessage?.({ data });
	}

	/** The first event. */
	welcome(fields: Json = {}): this {
		this.receive({ type: 'welcome', client: 'c1', version: 'x', ping_s: 25, max_message_bytes: 65536, ...fields });
		return this;
	}

	/** The connection ends; without a close frame there is an error first. */
	drop(code = 1006, reason = ''): void {
		if (code === 1006) this.onerror?.({});
		this.onclose?.({ code, reason });
	}

	/** The next command sent, which must be of this type. */
	take(type: string): Json {
		const command = this.sent.shift();
		if (command?.type !== type) throw new Error(`expected ${type}, was sent ${JSON.stringify(command)}`);
		return command;
	}

	/** Answers the next command. */
	answer(type: string, fields: Json = {}): Json {
		const command = this.take(type);
		this.receive({ type: 'ok', id: command.id, topic: command.topic, ...fields });
		return command;
	}

	/** Refuses the next command. */
	refuse(type: string, code: string, retry = false): Json {
		const command = this.take(type);
		this.receive({ type: 'error', id: command.id, code, message: code, retry });
		return command;
	}
}
