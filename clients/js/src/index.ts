/**
 * The client for browsers, workers and React Native. In Node.js the same names come from an entry point that finds `ws`
 * where there is no global `WebSocket`.
 *
 * @module
 */
export { Fanwire } from './client.js';
export { type Codec, json } from './codec.js';
export { FanwireError } from './errors.js';
export type { MessageIterator } from './iterator.js';
export type { Subscription } from './subscription.js';
export type * from './types.js';
