import { type Command, toBase64, type WireEvent } from './wire.js';

/** How objects become frames. There are two: {@link json} here, `msgpack` in `@fanwire/client/msgpack`. */
export interface Codec {
	/** The WebSocket subprotocol that it speaks. */
	readonly protocol: string;
	/** One command as a frame. */
	encode(command: Command): string | Uint8Array;
	/** The value in a frame. Throws if there is none. */
	decode(frame: unknown): unknown;
}

/** Text frames; the default. */
export const json: Codec = {
	protocol: 'fanwire.v1.json',
	encode({ data, ...rest }) {
		return JSON.stringify(data instanceof Uint8Array ? { ...rest, b64: toBase64(data) } : { ...rest, data });
	},
	decode(frame) {
		return JSON.parse(frame as string);
	},
};

/** The events of a frame; objects whose `type` is no string are an error, unknown types the caller's business. */
export function readEvents(codec: Codec, frame: unknown): WireEvent[] {
	const value = codec.decode(frame);
	const events = Array.isArray(value) ? value : [value];
	for (const event of events) {
		if (typeof event?.type !== 'string') throw new TypeError('not an event');
	}
	return events;
}

/** Bytes of a frame on the wire, without its header. */
export function frameBytes(frame: string | Uint8Array): number {
	return typeof frame === 'string' ? new TextEncoder().encode(frame).length : frame.length;
}
