/**
 * Watches what the platform knows of the network and of the page, where it knows anything: `wake` when a connection is
 * likelier to succeed now than a moment ago, `doubt` when the present one may be gone. Returns what ends the watch.
 */
export function watchEnvironment(wake: () => void, doubt: () => void): () => void {
	const scope: Partial<EventTarget> = globalThis;
	const page = (globalThis as { document?: Document }).document;
	const seen = () => page?.visibilityState === 'visible' && wake();
	const watched: [Partial<EventTarget> | undefined, string, () => void][] = [
		[scope, 'online', wake],
		[scope, 'pageshow', wake],
		[scope, 'offline', doubt],
		[page, 'visibilitychange', seen],
	];
	for (const [target, name, listener] of watched) target?.addEventListener?.(name, listener);
	return () => {
		for (const [target, name, listener] of watched) target?.removeEventListener?.(name, listener);
	};
}
