// Bundles test/*.test.* and runs them with node:test. Arguments pick tests by a part of their file's name.
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** The longest that all tests together may take. */
const LIMIT_MS = 600_000;

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
const wanted = process.argv.slice(2);
const names = readdirSync('test').filter(
	(name) => /\.test\.tsx?$/.test(name) && (wanted.length === 0 || wanted.some((part) => name.includes(part))),
);
rmSync('build', { recursive: true, force: true });
await build({
	entryPoints: names.map((name) => `test/${name}`),
	outdir: 'build',
	outExtension: { '.js': '.mjs' },
	bundle: true,
	format: 'esm',
	platform: 'node',
	packages: 'external',
	jsx: 'automatic',
	sourcemap: 'inline',
	logLevel: 'warning',
});
const files = names.map((name) => `build/${name.replace(/\.tsx?$/, '.mjs')}`);
const { status } = spawnSync(
	process.execPath,
	['--enable-source-maps', '--expose-gc', '--test', '--test-reporter=spec', ...files],
	{
		stdio: 'inherit',
		timeout: LIMIT_MS,
	},
);
process.exit(status ?? 1);
