// Bundles the page and serves it on this machine: `npm ci && npm start`, and a broker beside it.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/** The server, on a port of its own if none is given. */
export async function serve(port = 0) {
  const bundle = await build({ entryPoints: [here('main.js')], bundle: true, minify: true, write: false, format: 'iife', target: 'es2022' });
  const files = {
    '/': ['text/html; charset=utf-8', await readFile(here('index.html'))],
    '/main.js': ['text/javascript; charset=utf-8', bundle.outputFiles[0].contents],
  };
  const server = createServer(({ url }, response) => {
    const found = files[new URL(url, 'http://here').pathname];
    if (found) response.writeHead(200, { 'content-type': found[0] }).end(found[1]);
    else response.writeHead(404).end();
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}

if (process.argv[1] === here('serve.mjs')) {
  const server = await serve(Number(process.env.PORT ?? 7401));
  console.log(`http://127.0.0.1:${server.address().port}/?room=doc:demo`);
}
