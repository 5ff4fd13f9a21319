// Starts the real broker, a page on another origin, and a real browser.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const BINARY = process.env.BROKER_BIN ?? new URL('../../target/debug/fanwire', import.meta.url).pathname;
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

/**
 * A broker on a free port, with lines of configuration, further arguments and environment variables; it ends with the test, or before by `kill()`.
 */
export async function startBroker(test, configuration, listen = '127.0.0.1:0', more = [], environment = {}) {
  const args = ['serve', '--listen', listen, ...more];
  if (configuration !== undefined) {
    const file = join(scratch(test), 'fanwire.toml');
    writeFileSync(file, configuration);
    args.push('--config', file);
  }
  // The broker takes its settings from the environment, too; a test's are none of its business.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FANWIRE_')));
  const child = spawn(BINARY, args, { env: { ...env, ...environment }, stdio: ['ignore', 'pipe', 'inherit'] });
  test.after(() => child.kill('SIGKILL'));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const kill = () => { child.kill('SIGKILL'); return ended; };
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /ws:\/\/([\d.:]+)\/ws/.exec(line);
    if (found) {
      const address = found[1].replace('0.0.0.0', '127.0.0.1');
      return { http: `http://${address}`, ws: `ws://${address}/ws`, port: Number(address.split(':')[1]), kill };
    }
  }
  throw new Error('the broker did not start');
}

/** A directory that goes away with the test. */
export function scratch(test) {
  const directory = mkdtempSync(join(tmpdir(), 'fanwire-browser-'));
  test.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/**
 * A wire to a broker that can be cut: `cut()` breaks what is open and lets nobody in, `mend(port)` lets them in again, to
 * another broker if need be.
 */
export async function startWire(test, port) {
  let target = port, open = true;
  const sockets = new Set();
  const server = createTcpServer((near) => {
    if (!open) return near.destroy();
    const far = connectTcp(target, '127.0.0.1');
    for (const [one, other] of [[near, far], [far, near]]) {
      sockets.add(one);
      one.on('error', () => other.destroy()).on('close', () => { sockets.delete(one); other.destroy(); }).pipe(other);
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => { open = false; for (const socket of sockets) socket.destroy(); };
  test.after(() => { cut(); server.close(); });
  return { http: `http://127.0.0.1:${server.address().port}`, cut, mend: (other = target) => { target = other; open = true; } };
}

/**
 * A tab that fails the test at its end if its page had an error or broke its Content-Security-Policy; with
 * `mayFail` requests of its own may be refused by the browser.
 */
export async function openTab(test, browser, url, { mayFail, ...options } = {}) {
  const context = await browser.newContext(options);
  const tab = await context.newPage();
  tab.setDefaultTimeout(20_000);
  const faults = [];
  tab.on('pageerror', (error) => faults.push(String(error)));
  // A lost connection is told on the console by the browser itself, and is what some tests are about.
  const expected = /ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_SOCKET|ERR_INCOMPLETE|WebSocket connection to|status of 4\d\d/;
  if (!mayFail) tab.on('console', (message) => message.type() === 'error' && !expected.test(message.text()) && faults.push(message.text()));
  test.after(async () => {
    await context.close();
    assert.deepEqual(faults, [], `errors on ${url}`);
  });
  await tab.goto(url);
  return tab;
}

/** An empty page of another origin; returns its address. */
export async function startPage(test) {
  const server = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<!doctype html>'));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  test.after(() => { server.close(); server.closeAllConnections(); });
  return `http://127.0.0.1:${server.address().port}/`;
}

/** A browser that talks to nobody but this machine; `more` are Playwright's launch options. */
export function startBrowser(more = {}) {
  return chromium.launch({
    ...more,
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
}
