/**
 * The client for Node.js: where there is no global `WebSocket` (before version 22), that of the package `ws` is used, if
 * it is installed.
 *
 * @module
 */
import { Fanwire } from './client.js';

Fanwire.findWebSocket = async () => {
	try {
		return (await import('ws')).WebSocket;
	} catch {
		return undefined;
	}
};

export * from './index.js';
