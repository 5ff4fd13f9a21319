import { execFileSync } from 'node:child_process';

/** Runs npm in a folder, without a network. */
export const npm = (cwd: string, ...args: string[]) =>
	execFileSync('npm', [...args, '--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
		cwd,
		encoding: 'utf8',
	});
