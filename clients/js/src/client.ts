import { Backoff } from './backoff.js';
import { type Codec, frameBytes, json } from './codec.js';
import { nextId } from './connection.js';
import { Emitter } from './emitter.js';
import { watchEnvironment } from './environment.js';
import { FanwireError, refusal } from './errors.js';
import { type FindWebSocket, Link } from './link.js';
import { Outbox, type Resend } from './outbox.js';
import { Subscription } from './subscription.js';
import type {
	ClientEvents,
	ClientState,
	FanwireOptions,
	History,
	HistoryOptions,
	Presence,
	PublishOptions,
	PublishResult,
	SubscribeOptions,
} from './types.js';
import { type Command, type OkEvent, type SubscribedEvent, toMessage, type WireEvent } from './wire.js';

/**
 * A client of a fanwire broker: one connection that comes back, and everything that goes over it.
 *
 * Ordering: publishes go out in the order of the calls, after lost connections too. Messages of one topic come in the
 * topic's order. Between topics, and between a publish's answer and its own message, there is none.
 *
 * ```ts
 * const client = new Fanwire('ws://127.0.0.1:7400/ws');
 * client.subscribe('chat:lobby', { last: 20 }).on('message', (message) => console.log(message.data));
 * await client.publish('chat:lobby', { text: 'hi' });
 * ```
 */
export class Fanwire extends Emitter<ClientEvents> {
	/** Finds a `WebSocket` class where there is no global one; set by the entry point for Node.js. @internal */
	static findWebSocket: FindWebSocket = async () => undefined;

	#client: string | undefined;
	#user: string | undefined;
	#subscriptions = new Map<string, Subscription<never>>();
	#request: Parameters<Subscription['_online']>[0] | undefined;
	readonly #options: FanwireOptions;
	readonly #codec: Codec;
	readonly #outbox: Outbox;
	readonly #link: Link;
	readonly #unwatch: () => void;
	readonly #ids = unique();
	#published = 0;

	/** @param url of the broker's WebSocket, like `wss://example.org/ws`. */
	constructor(url: string, options: FanwireOptions = {}) {
		super();
		this.#options = options;
		this.#codec = options.codec ?? json;
		this.#outbox = new Outbox(options);
		this.#link = this.#makeLink(url);
		this.#unwatch = watchEnvironment(
			() => this.#link.state !== 'idle' && this.#link.wake(),
			() => this.#link.doubt(),
		);
		if (options.autoConnect !== false) this.connect();
	}

	/** Where the connection is. */
	get state(): ClientState {
		return this.#link.state;
	}

	/** The broker's name for the present connection, the last one while there is none. */
	get client(): string | undefined {
		return this.#client;
	}

	/** Who the token says this is. */
	get user(): string | undefined {
		return this.#user;
	}

	/**
	 * Starts connecting, with `autoConnect: false`. Later: tries again now instead of after the pause, or makes sure that
	 * the connection lives; for platforms whose signs of waking up the client cannot see (React Native's `AppState`).
	 */
	connect(): void {
		this.#link.wake();
	}

	/**
	 * Ends everything for good: subscriptions end, what waits for an answer fails with `closed`, or with
	 * `outcome_unknown` if it was sent. Wait for the promises of your publishes first if they matter.
	 */
	close(): void {
		this.#link.stop(new FanwireError('closed', 'the client was closed'));
	}

	/**
	 * Listens to a topic. A client listens to a topic once: throws `already_subscribed` before the earlier subscription
	 * has ended. While there is no connection it waits for one.
	 */
	subscribe<T = unknown>(topic: string, options: SubscribeOptions = {}): Subscription<T> {
		if (this.state === 'closed') throw closed();
		if (this.#subscriptions.has(topic)) throw new FanwireError('already_subscribed', `already subscribed to ${topic}`);
		return this.#listen<T>(topic, options, false);
	}

	/**
	 * Sends a message. Resolves when the broker took it. While there is no connection it waits in a bounded queue; if the
	 * connection is lost before the answer, it is sent again with the same message id, so that it becomes one message.
	 * Nobody needs to catch its rejection.
	 */
	publish(topic: string, data: unknown, options: PublishOptions = {}): Promise<PublishResult> {
		const { key, tags, ack, queue = true } = options;
		const message_id = options.messageId ?? (queue ? `${this.#ids}-${++this.#published}` : undefined);
		const prepare = () => ({ topic, key, message_id, tags, ack, data: payload(data, options.bytes) });
		return this.#ask('publish', queue ? 'write' : 'once', prepare, ({ epoch, offset, duplicate = false }) => ({
			epoch,
			offset,
			duplicate,
		}));
	}

	/** Who is subscribed to a topic now. */
	presence(topic: string): Promise<Presence> {
		return this.#ask(
			'presence',
			'read',
			() => ({ topic }),
			({ members = [], clients, users }) => ({
				members,
				clients,
				users,
			}),
		);
	}

	/** Reads past messages. */
	history<T = unknown>(topic: string, options: HistoryOptions = {}): Promise<History<T>> {
		const { since, limit, reverse } = options;
		return this.#ask(
			'history',
			'read',
			() => ({ topic, since, limit, reverse }),
			(reply) => {
				const { epoch, offset, messages, more, recovered } = reply;
				const page = { epoch, offset, more, messages: messages.map((wire) => toMessage<T>(wire, epoch)) };
				return recovered === undefined ? page : { ...page, recovered };
			},
		);
	}

	#listen<T>(topic: string, options: SubscribeOptions, byBroker: boolean): Subscription<T> {
		const backoff = new Backoff(this.#options.backoff);
		const remove = () => this.#subscriptions.delete(topic);
		const subscription = new Subscription<T>(topic, options, backoff, remove, byBroker);
		this.#subscriptions.set(topic, subscription as unknown as Subscription<never>);
		if (this.#request) subscription._online(this.#request);
		return subscription;
	}

	/** The broker has made a subscription by itself. */
	#made(event: SubscribedEvent): void {
		const known = this.#subscriptions.get(event.topic);
		if (known) return known._made(event);
		const subscription = this.#listen(event.topic, {}, true);
		this.emit('subscription', subscription);
		subscription._made(event);
	}

	/** Keeps a command until it is answered. */
	#ask<R>(
		type: Command['type'],
		resend: Resend,
		prepare: () => Omit<Command, 'type'>,
		read: (reply: OkEvent) => R,
	): Promise<R> {
		const send = async () => {
			if (this.state === 'closed') throw closed();
			const id = nextId();
			const frame = this.#codec.encode({ type, id, ...prepare() });
			return read(await this.#outbox.add(id, frame, frameBytes(frame), resend));
		};
		const answer = send();
		answer.catch(() => {});
		return answer;
	}

	#makeLink(url: string): Link {
		return new Link(url.replace(/^http/, 'ws'), this.#options, Fanwire.findWebSocket, {
			open: (connection, welcome) => {
				this.#client = welcome.client;
				this.#user = welcome.user;
				this.#request = (command, answered) => connection.request(command, answered);
				for (const subscription of [...this.#subscriptions.values()]) subscription._online(this.#request);
				this.#outbox.online({ send: (frame) => connection.send(frame), maxBytes: welcome.max_message_bytes });
			},
			leaving: () => this.#outbox.pause(),
			lost: () => {
				this.#request = undefined;
				this.#outbox.offline();
				for (const subscription of [...this.#subscriptions.values()]) subscription._offline();
			},
			event: (event) => this.#event(event),
			state: (state) => this.emit('state', state),
			disconnect: (end) => this.emit('disconnect', end),
			error: (error) => this.emit('error', error),
			user: (user) => {
				this.#user = user;
			},
			closed: (error) => {
				this.#unwatch();
				this.#outbox.clear(error);
				for (const subscription of [...this.#subscriptions.values()]) subscription._end(error);
				if (error.code !== 'closed') this.emit('error', error);
			},
		});
	}

	#event(event: WireEvent): void {
		switch (event.type) {
			case 'message':
			case 'join':
			case 'leave':
			case 'gap':
			case 'end':
				this.#subscriptions.get(event.topic)?._event(event);
				break;
			case 'subscribed':
				this.#made(event);
				break;
			case 'ok':
				this.#outbox.settle(event);
				break;
			case 'error':
				// Every command has an id: one that came without was not readable on arrival, and nobody knows which it was.
				if (!this.#outbox.settle(event) && event.id === undefined) this.#link.distrust(refusal(event));
		}
	}
}

function closed(): FanwireError {
	return new FanwireError('closed', 'the client is closed');
}

/** What a codec can write; throws for what none can. */
function payload(data: unknown, bytes = data instanceof ArrayBuffer || ArrayBuffer.isView(data)): unknown {
	if (data === undefined) throw new FanwireError('bad_payload', 'undefined is no payload');
	if (!bytes) return data;
	if (typeof data === 'string') return new TextEncoder().encode(data);
	if (data instanceof ArrayBuffer) return new Uint8Array(data);
	if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
	throw new FanwireError('bad_payload', '`bytes` needs a string, an ArrayBuffer or a view');
}

/** A name that no other client has. */
function unique(): string {
	const words = new Uint32Array(4);
	if (globalThis.crypto) crypto.getRandomValues(words);
	else for (const i of words.keys()) words[i] = Math.random() * 2 ** 32;
	return [...words].map((word) => word.toString(36)).join('');
}
