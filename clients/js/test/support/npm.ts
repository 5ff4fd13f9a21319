import { execFileSync } from 'node:child_process';

/** Runs npm in a folder. What it installs are packed folders: it needs no network, no cache, and runs nobody's scripts. */
export const npm = (cwd: string, ...args: string[]) =>
	execFileSync('npm', [...args, '--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
		cwd,
		encoding: 'utf8',
	});
