// A project with Vite: the packed client in its development server and in what it builds, in a browser.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build, createServer, preview } from 'vite';
import { Broker, skip } from './support/broker.js';
import { openPage, skipBrowser } from './support/chromium.js';
import { npm } from './support/npm.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

const PAGE = '<!doctype html><meta charset="utf-8"><script type="module" src="/main.ts"></script>';
const MAIN = (url: string) => `
import { Fanwire, type Message } from '@fanwire/client';
import { msgpack } from '@fanwire/client/msgpack';
const run = async (topic: string, codec?: typeof msgpack) => {
	const client = new Fanwire(${JSON.stringify(url)}, { codec });
	const subscription = client.subscribe<string>(topic);
	const got = new Promise<Message<string>>((resolve) => subscription.on('message', resolve));
	await subscription.ready();
	await client.publish(topic, 'through Vite');
	const { data } = await got;
	client.close();
	return data;
};
const topic = 'chat:vite-' + Math.random();
Promise.all([run(topic), run(topic + '-b', msgpack)]).then(String, String)
	.then((body) => fetch('/result', { method: 'POST', body }));
`;

/** Takes what the page has to say. */
function ear() {
	let tell: (text: string) => void = () => {};
	const told = new Promise<string>((resolve) => (tell = resolve));
	const hear = (request: IncomingMessage, response: ServerResponse) => {
		request.on('data', (body) => tell(String(body)));
		response.end();
	};
	type Host = { middlewares: { use(path: string, handler: typeof hear): unknown } };
	const listen = ({ middlewares }: Host) => void middlewares.use('/result', hear);
	return { told, plugin: { name: 'ear', configureServer: listen, configurePreviewServer: listen } };
}

test('works with Vite, in development and built', { skip: skip || skipBrowser, timeout: 120_000 }, async () => {
	const root = mkdtempSync(join(tmpdir(), 'fanwire-vite-'));
	const broker = await Broker.start();
	try {
		const packed = ['.', './node_modules/@msgpack/msgpack'].map((source) => {
			const [{ filename }] = JSON.parse(npm(ROOT, 'pack', source, '--json', '--pack-destination', root));
			return `./${filename.replace('@', '').replace('/', '-')}`;
		});
		writeFileSync(join(root, 'package.json'), '{ "name": "fresh", "private": true, "type": "module" }');
		npm(root, 'install', ...packed);
		writeFileSync(join(root, 'index.html'), PAGE);
		writeFileSync(join(root, 'main.ts'), MAIN(broker.url));
		const common = { root, configFile: false, logLevel: 'error', clearScreen: false } as const;
		const host = { host: '127.0.0.1', port: 0 };

		const developing = ear();
		const server = await (await createServer({ ...common, server: host, plugins: [developing.plugin] })).listen();
		const close = openPage(server.resolvedUrls?.local[0] ?? '');
		assert.equal(await developing.told, 'through Vite,through Vite');
		await close();
		await server.close();

		await build(common);
		const built = ear();
		const shown = await preview({ ...common, preview: host, plugins: [built.plugin] });
		const closeBuilt = openPage(shown.resolvedUrls?.local[0] ?? '');
		assert.equal(await built.told, 'through Vite,through Vite');
		await closeBuilt();
		await shown.close();
	} finally {
		await broker.stop();
		rmSync(root, { recursive: true, force: true });
	}
});
