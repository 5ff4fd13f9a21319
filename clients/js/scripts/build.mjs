// Builds dist/: ESM, CommonJS, one minified file for a plain <script>, and types for both module systems.
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
rmSync('dist', { recursive: true, force: true });

const common = { bundle: true, target: 'es2022', logLevel: 'warning' };
const modules = {
	...common,
	entryPoints: ['src/index.ts', 'src/node.ts', 'src/react.ts', 'src/msgpack.ts'],
	packages: 'external',
	platform: 'neutral',
};
const script = { ...common, format: 'iife', minify: true, platform: 'browser', mangleProps: /^_/ };

await build({ ...modules, format: 'esm', outdir: 'dist/esm' });
await build({ ...modules, format: 'cjs', outdir: 'dist/cjs' });
await build({ ...script, entryPoints: ['src/script.ts'], outfile: 'dist/fanwire.min.js' });
await build({ ...script, entryPoints: ['src/script-msgpack.ts'], outfile: 'dist/fanwire-msgpack.min.js' });

const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
for (const [outDir, type] of [
	['dist/esm', 'module'],
	['dist/cjs', 'commonjs'],
]) {
	execFileSync(process.execPath, [tsc, '-p', 'tsconfig.types.json', '--outDir', outDir], { stdio: 'inherit' });
	writeFileSync(`${outDir}/package.json`, `{ "type": "${type}" }\n`);
}
