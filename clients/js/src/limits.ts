/** Every bound and default of the client in one place, each with its reason. Times are in milliseconds. */

/** First pause before reconnecting is random between 0 and this; it doubles with every failure. */
export const BACKOFF_MIN_MS = 500;
/** No pause before reconnecting is longer, except one that the broker asks for. */
export const BACKOFF_MAX_MS = 30_000;
/** A connection that was usable this long counts as a success: pauses start small again. */
export const STABLE_MS = 10_000;
/** From starting to connect, token callback included, until the connection is usable. */
export const CONNECT_TIMEOUT_MS = 15_000;
/** With nothing heard for this long the client asks for a sign of life. */
export const PING_INTERVAL_MS = 15_000;
/** With no sign of life for this long after asking, the connection is given up. */
export const PING_TIMEOUT_MS = 10_000;
/** A timer later than this was held up (sleep, frozen tab): it proves nothing about the peer. */
export const LATE_TIMER_MS = 2_000;
/** Commands waiting for an answer, sent or not; as many as a topic's memory of message ids. */
export const QUEUE_COUNT = 10_000;
/** Bytes of those commands. */
export const QUEUE_BYTES = 4 * 1024 * 1024;
/** How long after a publish was first sent the broker surely still knows its id; it promises two minutes. */
export const DEDUPE_MS = 110_000;
/** Messages that one iterator holds for its reader. */
export const ITERATOR_BUFFER = 1_000;
/** A token is replaced when this part of its time is over. */
export const REFRESH_PART = 0.8;
/** Pause between attempts to replace a token, and the least time that one is used. */
export const REFRESH_MIN_MS = 1_000;
/** Longest pause that a `goodbye` may ask for. */
export const GOODBYE_MAX_MS = 600_000;
/** Longest delay that timers of all platforms can hold. */
export const TIMER_MAX_MS = 2 ** 31 - 1;
