/**
 * Binary frames: `new Fanwire(url, { codec: msgpack })`. Smaller for numbers and bytes; needs `@msgpack/msgpack`, which
 * nothing but this entry point loads.
 *
 * @module
 */
import { decode, encode } from '@msgpack/msgpack';
import type { Codec } from './codec.js';

/** MessagePack frames. */
export const msgpack: Codec = {
	protocol: 'fanwire.v1.msgpack',
	encode: (command) => encode(command, { ignoreUndefined: true }),
	decode: (frame) => decode(frame as ArrayBuffer),
};
