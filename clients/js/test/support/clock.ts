/** Time that passes only when a test says so: replaces timers and `Date.now`. */
export class FakeClock {
	now = 1_000_000;
	#timers = new Map<number, { at: number; run: () => void }>();
	#ids = 0;
	#saved = { set: globalThis.setTimeout, clear: globalThis.clearTimeout, now: Date.now, random: Math.random };

	/** Timers that are set. */
	get pending(): number {
		return this.#timers.size;
	}

	/** Milliseconds until the next timer. */
	get next(): number {
		return Math.min(...[...this.#timers.values()].map((timer) => timer.at)) - this.now;
	}

	install(): this {
		const set = (run: () => void, ms = 0) => {
			this.#timers.set(++this.#ids, { at: this.now + ms, run });
			return this.#ids;
		};
		globalThis.setTimeout = set as never;
		globalThis.clearTimeout = ((id: number) => this.#timers.delete(id)) as never;
		Date.now = () => this.now;
		Math.random = () => 1;
		return this;
	}

	uninstall(): void {
		globalThis.setTimeout = this.#saved.set;
		globalThis.clearTimeout = this.#saved.clear;
		Date.now = this.#saved.now;
		Math.random = this.#saved.random;
	}

	/** Lets time pass, timer by timer. */
	async pass(ms: number): Promise<void> {
		const end = this.now + ms;
		await this.settle();
		for (;;) {
			const due = [...this.#timers].filter(([, timer]) => timer.at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
			if (!due) break;
			this.#timers.delete(due[0]);
			this.now = Math.max(this.now, due[1].at);
			due[1].run();
			await this.settle();
		}
		this.now = end;
	}

	/** Time passes without any timer being served, as while a machine sleeps. */
	sleep(ms: number): void {
		this.now += ms;
	}

	/** Everything that waits for promises only. */
	async settle(): Promise<void> {
		for (let i = 0; i < 20; i++) await Promise.resolve();
	}
}
