import type { ErrorEvent } from './wire.js';

/** Codes that do not pass by waiting. Codes that nobody here knows count as passing, like `internal`. */
const FINAL = new Set(
	(
		'bad_frame bad_request unknown_type bad_topic bad_payload too_large wrong_kind already_subscribed not_subscribed ' +
		'too_many_subscriptions too_many_keys presence_off unauthorized invalid_token forbidden expired deleted ' +
		'not_durable damaged'
	).split(' '),
);

/** Whether the same command may succeed later, for events that carry a code only. */
export function passes(code: string): boolean {
	return !FINAL.has(code);
}

/**
 * Everything that fails in this library fails with one of these.
 *
 * `code` is one of the broker's error codes, or one of the client's own:
 *
 * | code | |
 * |---|---|
 * | `closed` | the client was closed before this was sent |
 * | `stopped` | the broker told the client to stay away |
 * | `outcome_unknown` | it was sent, and whether the broker carried it out cannot be found out any more |
 * | `queue_full` | too many commands wait for an answer |
 * | `offline` | there is no connection, and the command was not to be queued |
 * | `too_large` | the frame is larger than the broker reads |
 * | `overflow` | an iterator's reader was too slow for its buffer |
 * | `unsubscribed` | the subscription was given up by this program |
 * | `internal` | with a cause in the message: the broker's fault, or a socket that could not be made |
 * | `no_websocket` | this platform has no `WebSocket`, and none was given |
 * | `token` | the token callback failed |
 */
export class FanwireError extends Error {
	/** For programs. */
	readonly code: string;
	/** Whether the same may succeed later without being changed. */
	readonly retry: boolean;

	constructor(code: string, message: string, retry = false, options?: ErrorOptions) {
		super(message, options);
		this.name = 'FanwireError';
		this.code = code;
		this.retry = retry;
	}
}

/** The broker's answer as an error. */
export function refusal(event: ErrorEvent): FanwireError {
	return new FanwireError(event.code, event.message, event.retry);
}
