/** The same for MessagePack: the global `fanwireMsgpack`. */
import { msgpack } from './msgpack.js';

Object.assign(globalThis, { fanwireMsgpack: { msgpack } });
