declare module 'jsdom' {
	/** As much of it as the tests use. */
	export class JSDOM {
		constructor(html: string);
		readonly window: Window & typeof globalThis;
	}
}
