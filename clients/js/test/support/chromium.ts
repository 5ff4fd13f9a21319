import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { required } from './required.js';

const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome', 'chrome'];
const browser =
	process.env.CHROMIUM ??
	(process.env.PATH ?? '')
		.split(delimiter)
		.flatMap((folder) => BROWSERS.map((name) => join(folder, name)))
		.find((path) => existsSync(path));

/** Why tests in a browser are skipped, if they are. */
export const skipBrowser = required(browser, 'no Chromium in the path; install it or set CHROMIUM');

/** Opens a page; returns what closes the browser. */
export function openPage(url: string): () => Promise<void> {
	const folder = mkdtempSync(join(tmpdir(), 'fanwire-browser-'));
	const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', `--user-data-dir=${folder}`];
	const child = spawn(browser as string, [...flags, url], { stdio: 'ignore', detached: true });
	return async () => {
		const exit = once(child, 'exit');
		process.kill(-(child.pid as number), 'SIGKILL');
		await exit;
		rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
	};
}
