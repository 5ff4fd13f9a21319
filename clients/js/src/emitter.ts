/** Calls listeners by event name, with types. */
export class Emitter<Events extends object> {
	#listeners = new Map<keyof Events, Set<(payload: never) => void>>();

	/** Adds a listener; the returned function takes it away again. */
	on<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): () => void {
		let listeners = this.#listeners.get(name);
		if (!listeners) this.#listeners.set(name, (listeners = new Set()));
		listeners.add(listener);
		return () => this.off(name, listener);
	}

	/** Takes a listener away. */
	off<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): void {
		this.#listeners.get(name)?.delete(listener);
	}

	/** A listener that throws harms nobody else; its error goes where the platform reports uncaught ones. */
	protected emit<Name extends keyof Events>(name: Name, payload: Events[Name]): void {
		for (const listener of [...(this.#listeners.get(name) ?? [])]) {
			try {
				(listener as (payload: Events[Name]) => void)(payload);
			} catch (error) {
				queueMicrotask(() => {
					throw error;
				});
			}
		}
	}
}
