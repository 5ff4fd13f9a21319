// Starts the real broker, a page on another origin, and a real browser.
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const BINARY = process.env.FANWIRE_BIN ?? new URL('../../target/debug/fanwire', import.meta.url).pathname;
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** A broker on a free port, with lines of configuration; it ends with the test. */
export async function startBroker(test, configuration, listen = '127.0.0.1:0') {
  const args = ['serve', '--listen', listen];
  if (configuration !== undefined) {
    const file = join(mkdtempSync(join(tmpdir(), 'fanwire-browser-')), 'fanwire.toml');
    writeFileSync(file, configuration);
    args.push('--config', file);
  }
  // The broker takes its settings from the environment, too; a test's are none of its business.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FANWIRE_')));
  const child = spawn(BINARY, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  test.after(() => child.kill());
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /ws:\/\/([\d.:]+)\/ws/.exec(line);
    if (found) {
      const address = found[1].replace('0.0.0.0', '127.0.0.1');
      return { http: `http://${address}`, ws: `ws://${address}/ws` };
    }
  }
  throw new Error('the broker did not start');
}

/** An empty page of another origin; returns its address. */
export async function startPage(test) {
  const server = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<!doctype html>'));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  test.after(() => { server.close(); server.closeAllConnections(); });
  return `http://127.0.0.1:${server.address().port}/`;
}

/** A browser that talks to nobody but this machine. */
export function startBrowser() {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
}
