/** Waits until something is so; fails after a while. */
export async function until(what: string, condition: () => boolean, ms = 20_000): Promise<void> {
	const end = Date.now() + ms;
	while (!condition()) {
		if (Date.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`);
		await pause(2);
	}
}

/** Waits for a time. */
export function pause(ms: number): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, ms));
}
