import type { Codec } from './codec.js';
import type { FanwireError } from './errors.js';
import type { Subscription } from './subscription.js';

/** A place in a topic: who is there has everything of this epoch up to and including this offset. */
export interface Position {
	/** Names one run of offsets. */
	epoch: string;
	/** Counts up within the epoch, not necessarily by one. */
	offset: number;
}

/** A client subscribed to a topic. */
export interface Member {
	/** Names one connection. */
	client: string;
	/** Who the token says it is; absent for anonymous clients. */
	user?: string;
}

/** A message of a topic. */
export interface Message<T = unknown> {
	topic: string;
	/** Together with `offset` the message's {@link Position}. */
	epoch: string;
	offset: number;
	/** When the broker took it, in milliseconds since 1970 by its clock. */
	time: number;
	/** Kind `latest`: which value it is. */
	key?: string;
	/** As published. */
	tags?: Record<string, string>;
	/** Who published it; absent for messages that came in over HTTP. */
	from?: Member;
	/** Kind `latest`: how many older values of this key were left out since the last one. */
	skipped: number;
	/** The JSON value; for a message of bytes, a `Uint8Array`. */
	data: T;
}

/** What lies after `after` and before `next` is gone. Load state anew if that matters. */
export interface Gap {
	epoch: string;
	after: number;
	next: number;
}

/** How a subscription came back. */
export interface Recovery extends Position {
	/** True: everything missed follows. False: something may be missing; load state anew. */
	recovered: boolean;
}

/** How to subscribe. */
export interface SubscribeOptions {
	/** Resume after this position; wins over `last`. */
	since?: Position;
	/** Kind `log`: begin with this many past messages. */
	last?: number;
	/** Report members: `members`, `join` and `leave`. */
	presence?: boolean;
	/** Kind `latest`: at most this many updates a second. */
	maxRate?: number;
	/** Messages that one iterator holds for its reader. Default 1000. */
	buffer?: number;
	/**
	 * What an iterator does when its buffer is full: `'error'` (default) delivers what it holds, then throws `overflow`;
	 * `'drop-oldest'` forgets the oldest message and counts it in `dropped`.
	 */
	overflow?: 'error' | 'drop-oldest';
}

/** `subscribing` until the broker confirms, and again while there is no connection; `ended` is final. */
export type SubscriptionState = 'subscribing' | 'live' | 'ended';

/** Events of a subscription and what comes with them. */
export interface SubscriptionEvents<T = unknown> {
	/** A message, by increasing offset, never twice. */
	message: Message<T>;
	/** A client subscribed. With `presence`, also for each member there at the start. */
	join: Member;
	/** A client unsubscribed or its connection ended. */
	leave: Member;
	/** Messages are gone. */
	gap: Gap;
	/** The subscription came back after a lost connection, or began with `since`. */
	recovered: Recovery;
	/** `state` changed. */
	state: SubscriptionState;
	/** The broker refused. If the error's `retry` is true, the client asks again by itself. */
	error: FanwireError;
	/** Nothing comes any more; the error's `code` says why. */
	end: FanwireError;
}

/** How to publish. */
export interface PublishOptions {
	/** Kind `latest`: which value this replaces. */
	key?: string;
	/** Makes the publish idempotent. Default: a generated one. */
	messageId?: string;
	/** Passed on to subscribers unread; at most 16. */
	tags?: Record<string, string>;
	/**
	 * When it resolves. Default: as safe as the topic promises, on a durable one once the message survives a crash.
	 * `durable` on another topic fails with `not_durable`.
	 */
	ack?: 'accepted' | 'durable';
	/**
	 * Publish bytes rather than a JSON value. Default: true if `data` is an `ArrayBuffer` or a view of one. A string's
	 * bytes are its UTF-8.
	 */
	bytes?: boolean;
	/**
	 * Default true: kept until answered, over lost connections too. False: sent now or never, for what is worthless late
	 * (game input, typing); fails with `offline` or `outcome_unknown`.
	 */
	queue?: boolean;
}

/** Where a published message is. */
export interface PublishResult extends Position {
	/** The topic had taken this `messageId` before; `offset` is the first one's. */
	duplicate: boolean;
}

/** Who is subscribed to a topic. */
export interface Presence {
	members: Member[];
	/** How many clients. */
	clients: number;
	/** How many different users, anonymous ones left out. */
	users: number;
}

/** What to read of the past. */
export interface HistoryOptions {
	/** Only messages after this position; with `reverse`, before it. */
	since?: Position;
	/** Most messages. */
	limit?: number;
	/** Newest first. */
	reverse?: boolean;
}

/** A page of the past. */
export interface History<T = unknown> extends Position {
	messages: Message<T>[];
	/** There are others in this direction; ask again with the last message's position. */
	more: boolean;
	/** With `since`: whether nothing between it and the page is missing. */
	recovered?: boolean;
}

/**
 * `idle` before `connect()`, `connecting`, `open` when usable, `waiting` between attempts, `closed` for good.
 */
export type ClientState = 'idle' | 'connecting' | 'open' | 'waiting' | 'closed';

/** A connection ended or could not be made. */
export interface Disconnect {
	/** The WebSocket close code; 1006 if there was none. */
	code: number;
	reason: string;
	/** Milliseconds until the next attempt; absent if there is none. */
	retryMs?: number;
}

/** Events of a client and what comes with them. */
export interface ClientEvents {
	/** `state` changed. */
	state: ClientState;
	/** A connection ended or could not be made. */
	disconnect: Disconnect;
	/**
	 * The broker subscribed this client to a topic by itself: its token names the topic, or a back end asked for it. Add
	 * listeners before you return, then none of its messages is missed.
	 */
	subscription: Subscription;
	/** Something failed that belongs to no call: a refused token, an unreadable frame, an order to stay away. */
	error: FanwireError;
}

/** A token, or a function that gets one: called for every connection, and before a token ends. */
export type Token = string | (() => string | undefined | Promise<string | undefined>);

/** The part of the `WebSocket` interface that this client needs. */
export interface WebSocketLike {
	binaryType: string;
	onmessage: ((event: { data: unknown }) => void) | null;
	onclose: ((event: { code?: number; reason?: string }) => void) | null;
	onerror: ((event: unknown) => void) | null;
	send(data: string | Uint8Array): void;
	close(code?: number, reason?: string): void;
	/** `ws` has it: gives up at once instead of waiting for the peer. */
	terminate?(): void;
}

/** What makes sockets: the global `WebSocket`, or one that looks like it. */
export type WebSocketClass = new (url: string, protocols: string[]) => any;

/** Pauses between attempts to connect. */
export interface BackoffOptions {
	/** The first pause is random between 0 and this. Default 500. */
	minMs?: number;
	/** No pause is longer. Default 30 000. */
	maxMs?: number;
	/** A connection usable this long starts the pauses over. Default 10 000. */
	stableMs?: number;
}

/** Options of a client. */
export interface FanwireOptions {
	/** Who this is. Sent in an `auth` command, never in the URL. */
	token?: Token;
	/** Frames: JSON, or `msgpack` of `@fanwire/client/msgpack`. */
	codec?: Codec;
	/** The `WebSocket` class to use. Default: the global one; in Node.js without one, that of the package `ws`. */
	WebSocket?: WebSocketClass;
	/** False: wait for `connect()`. Default true. */
	autoConnect?: boolean;
	backoff?: BackoffOptions;
	/** From starting to connect until usable, the token callback included. Default 15 000. */
	connectTimeoutMs?: number;
	/** Ask for a sign of life when nothing was heard for this long. Default 15 000. */
	pingIntervalMs?: number;
	/** Give the connection up when none comes for this long. Default 10 000. */
	pingTimeoutMs?: number;
	/** Most commands waiting for an answer; further ones fail with `queue_full`. Default 10 000. */
	queueCount?: number;
	/** Most bytes of them. Default 4 MiB. */
	queueBytes?: number;
	/** How long after it was first sent a publish may be sent again. Default 110 000. */
	dedupeMs?: number;
}
