/** Objects on the wire, as the protocol names them, and how they become the client's. */
import type { Member, Message, Position } from './types.js';

/** A command, before a codec writes it. Fields that are `undefined` are left out. */
export interface Command {
	type: 'subscribe' | 'unsubscribe' | 'publish' | 'presence' | 'history' | 'auth' | 'ping';
	id?: number | undefined;
	topic?: string | undefined;
	since?: Position | undefined;
	last?: number | undefined;
	presence?: boolean | undefined;
	max_rate?: number | undefined;
	data?: unknown;
	key?: string | undefined;
	message_id?: string | undefined;
	ack?: 'accepted' | 'durable' | undefined;
	tags?: Record<string, string> | undefined;
	limit?: number | undefined;
	reverse?: boolean | undefined;
	token?: string | undefined;
}

/** A message as it comes: bytes are in `b64` (JSON) or `data` (MessagePack). */
export interface WireMessage {
	topic: string;
	offset: number;
	time: number;
	key?: string;
	tags?: Record<string, string>;
	from?: Member;
	skipped?: number;
	data?: unknown;
	b64?: string;
}

/** The first event on a connection. */
export interface WelcomeEvent {
	type: 'welcome';
	client: string;
	version: string;
	ping_s: number;
	max_message_bytes: number;
	user?: string;
}

/** A command succeeded; which fields there are depends on the command. */
export interface OkEvent {
	type: 'ok';
	id: number;
	topic: string;
	epoch: string;
	offset: number;
	recovered?: boolean;
	/** The topic's kind, from brokers that say it. */
	kind?: string;
	duplicate?: boolean;
	members?: Member[];
	clients: number;
	users: number;
	messages: WireMessage[];
	more: boolean;
	user?: string;
	expires?: number;
}

/** The broker made a subscription by itself. */
export interface SubscribedEvent {
	type: 'subscribed';
	topic: string;
	epoch: string;
	offset: number;
	kind?: string;
	recovered?: boolean;
	members?: Member[];
	expires?: number;
}

/** A command failed, or a frame could not be read. */
export interface ErrorEvent {
	type: 'error';
	id?: number;
	code: string;
	message: string;
	retry: boolean;
}

/** The answer to a command. */
export type Reply = OkEvent | ErrorEvent | { type: 'pong'; id?: number };

/** Events of a topic. */
export type TopicEvent =
	| ({ type: 'message' } & WireMessage)
	| ({ type: 'join' | 'leave'; topic: string } & Member)
	| { type: 'gap'; topic: string; epoch: string; after: number; next: number }
	| { type: 'end'; topic: string; code: string };

/** The broker is about to close the connection. */
export interface GoodbyeEvent {
	type: 'goodbye';
	code: string;
	reconnect: boolean;
	after_ms: number;
}

/** Everything that a client takes notice of. */
export type WireEvent = WelcomeEvent | Reply | SubscribedEvent | TopicEvent | GoodbyeEvent;

/** A message in the form that programs see, the same from every codec. */
export function toMessage<T>(wire: WireMessage, epoch: string): Message<T> {
	const { topic, offset, time, key, tags, from, skipped = 0, data, b64 } = wire;
	const message = { topic, epoch, offset, time, skipped, data: b64 === undefined ? owned(data) : fromBase64(b64) };
	return Object.assign(message, key !== undefined && { key }, tags && { tags }, from && { from }) as Message<T>;
}

/** Bytes in a buffer of their own, not in that of a whole frame. */
function owned(data: unknown): unknown {
	return data instanceof Uint8Array ? data.slice() : data;
}

function fromBase64(text: string): Uint8Array {
	return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

/** Standard alphabet, padded. */
export function toBase64(bytes: Uint8Array): string {
	let text = '';
	for (const byte of bytes) text += String.fromCharCode(byte);
	return btoa(text);
}
