// What is published: its size, and that it works in a fresh project by import, by require, with types, and in a browser.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { Fanwire } from '../src/node.js';
import { Broker, skip } from './support/broker.js';
import { openPage, skipBrowser } from './support/chromium.js';
import { npm } from './support/npm.js';
import { FaultProxy } from './support/proxy.js';
import { Random } from './support/random.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** The most that the browser file may weigh, compressed. */
const MAX_GZIP_BYTES = 6_000;
const DEADLINE_MS = 40_000;
/** Messages published while the page has no connection. */
const MISSED = 500;

test(`the browser file is at most ${MAX_GZIP_BYTES} bytes, compressed`, () => {
	const { length } = gzipSync(readFileSync(`${ROOT}dist/fanwire.min.js`), { level: 9 });
	console.log(`fanwire.min.js: ${length} bytes compressed`);
	assert.ok(length <= MAX_GZIP_BYTES, `${length} bytes`);
});

const SCRIPT = `
const client = new Fanwire(process.argv[2], { codec: process.argv[3] ? msgpack : undefined });
const subscription = client.subscribe('chat:packed');
let got = new Promise((resolve) => subscription.on('message', resolve));
subscription.ready()
	.then(() => client.publish('chat:packed', { text: 'hi' }))
	.then(() => got)
	.then((message) => { console.log(JSON.stringify(message.data)); client.close(); });
`;
const ESM = `import { Fanwire } from '@fanwire/client';\nimport { msgpack } from '@fanwire/client/msgpack';\n${SCRIPT}`;
const CJS = `const { Fanwire } = require('@fanwire/client');\nconst { msgpack } = require('@fanwire/client/msgpack');\n${SCRIPT}`;
const TYPED = `
import { Fanwire, FanwireError, type Message } from '@fanwire/client';
import { msgpack } from '@fanwire/client/msgpack';
const client: Fanwire = new Fanwire('ws://x/ws', { codec: msgpack, token: async () => 't' });
const subscription = client.subscribe<{ text: string }>('t', { last: 1 });
subscription.on('message', (message: Message<{ text: string }>) => message.data.text.length);
subscription.on('end', (error) => error instanceof FanwireError && error.code);
// @ts-expect-error there is no such event
subscription.on('mesage', () => {});
// @ts-expect-error not for programs
subscription._end;
export const offset: Promise<number> = client.publish('t', 1).then((result) => result.offset);
`;

test('a fresh project installs the tarball and uses it', { skip, timeout: 120_000 }, async () => {
	const folder = mkdtempSync(join(tmpdir(), 'fanwire-client-'));
	const broker = await Broker.start();
	try {
		const packed = ['.', './node_modules/@msgpack/msgpack', './node_modules/ws'].map((source) => {
			const [{ filename }] = JSON.parse(npm(ROOT, 'pack', source, '--json', '--pack-destination', folder));
			return `./${filename.replace('@', '').replace('/', '-')}`;
		});
		writeFileSync(join(folder, 'package.json'), '{ "name": "fresh", "private": true }');
		npm(folder, 'install', ...packed);
		for (const [file, source] of [
			['use.mjs', ESM],
			['use.cjs', CJS],
		] as const) {
			writeFileSync(join(folder, file), source);
			for (const codec of ['', 'msgpack']) {
				const output = execFileSync(process.execPath, [file, broker.url, codec], { cwd: folder, encoding: 'utf8' });
				assert.equal(output, '{"text":"hi"}\n');
			}
		}
		checkTypes(folder);
	} finally {
		await broker.stop();
		rmSync(folder, { recursive: true });
	}
});

function checkTypes(folder: string): void {
	writeFileSync(join(folder, 'use.mts'), TYPED);
	writeFileSync(join(folder, 'use.cts'), TYPED);
	const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
	for (const [file, module] of [
		['use.mts', 'nodenext'],
		['use.cts', 'nodenext'],
		['use.mts', 'esnext'],
	] as const) {
		const resolution = module === 'esnext' ? 'bundler' : module;
		const options = [
			'--strict',
			'--noEmit',
			'--target',
			'es2022',
			'--module',
			module,
			'--moduleResolution',
			resolution,
		];
		execFileSync(process.execPath, [tsc, ...options, file], { cwd: folder, stdio: 'inherit' });
	}
}

/** Runs in the page and in the worker. */
const IN_BROWSER = `
async function run(url, codec) {
	const client = new fanwire.Fanwire(url, codec && { codec });
	const topic = 'chat:browser-' + Math.random();
	const subscription = client.subscribe(topic, { presence: true });
	const messages = [];
	(async () => { for await (const { data } of subscription) messages.push(data instanceof Uint8Array ? [...data] : data); })();
	await subscription.ready();
	await client.publish(topic, 'hé');
	await client.publish(topic, new Uint8Array([0, 255]));
	const { clients } = await client.presence(topic);
	client.close();
	return JSON.stringify({ messages, clients });
}
`;
/** Loses its connection while others publish; gives what it has in the end. */
const RESUME = `
function resume(url) {
	const client = new fanwire.Fanwire(url, { backoff: { minMs: 50 } });
	const subscription = client.subscribe('chat:resume');
	const seen = [];
	subscription.ready().then(() => fetch('/ready', { method: 'POST' }));
	return new Promise((resolve) => {
		const events = [];
		subscription.on('recovered', ({ recovered }) => events.push(recovered));
		subscription.on('message', ({ data }) => {
			if (seen.push(data) === ${MISSED}) resolve(events.join() + ' ' + seen.every((n, i) => n === i));
		});
	});
}
`;
const PAGE = (
	url: string,
	proxy: string,
) => `<!doctype html><meta charset="utf-8"><script src="/fanwire.min.js"></script>
<script src="/fanwire-msgpack.min.js"></script><script>${IN_BROWSER}${RESUME}
const worker = new Worker('/worker.js');
const inWorker = new Promise((resolve) => (worker.onmessage = (event) => resolve(event.data)));
Promise.all([run('${url}'), run('${url}', fanwireMsgpack.msgpack), inWorker, resume('${proxy}')])
	.then(JSON.stringify, String)
	.then((body) => fetch('/result', { method: 'POST', body }));
</script>`;
const WORKER = (url: string) =>
	`importScripts('/fanwire.min.js');${IN_BROWSER}run('${url}').then(postMessage, (error) => postMessage(String(error)));`;

test('a page and a worker in a browser', { skip: skip || skipBrowser }, async () => {
	const broker = await Broker.start();
	const proxy = await FaultProxy.start(broker.port, new Random(1), []);
	const publisher = new Fanwire(broker.url);
	const whileAway = () => {
		proxy.cutAll();
		for (let n = 0; n < MISSED; n++) publisher.publish('chat:resume', n);
	};
	let told: (body: string) => void = () => {};
	const result = new Promise<string>((resolve) => (told = resolve));
	const server = createServer((request, response) => {
		const path = request.url ?? '/';
		if (path === '/result') request.on('data', (body) => told(String(body)));
		if (path === '/ready') whileAway();
		const script = path.endsWith('.min.js') ? readFileSync(`${ROOT}dist${path}`, 'utf8') : WORKER(broker.url);
		response.setHeader('content-type', path.endsWith('.js') ? 'text/javascript' : 'text/html');
		response.end(path.endsWith('.js') ? script : PAGE(broker.url, proxy.url));
	}).listen(0, '127.0.0.1');
	await once(server, 'listening');
	const page = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
	const close = openPage(page);
	const late = setTimeout(() => told('no result in time'), DEADLINE_MS);
	const expected = JSON.stringify({ messages: ['hé', [0, 255]], clients: 1 });
	try {
		assert.equal(await result, JSON.stringify([expected, expected, expected, 'true true']));
	} finally {
		clearTimeout(late);
		await close();
		server.closeAllConnections();
		server.close();
		publisher.close();
		await proxy.stop();
		await broker.stop();
	}
});
