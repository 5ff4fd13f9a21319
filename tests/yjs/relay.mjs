// A stretch of network between clients and the broker that can break, stall, and lead elsewhere.
import { connect, createServer } from 'node:net';

export async function startRelay(target) {
  const relay = { target, pairs: new Set() };
  const server = createServer((near) => {
    const [host, port] = relay.target.split(':');
    const far = connect(Number(port), host);
    const pair = { near, far, stalled: false };
    relay.pairs.add(pair);
    const end = () => { relay.pairs.delete(pair); near.destroy(); far.destroy(); };
    [near, far].forEach((socket) => socket.on('error', end).on('close', end));
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  relay.yjs = `ws://127.0.0.1:${server.address().port}/yjs`;
  /** Resets every connection through it. */
  relay.kill = () => relay.pairs.forEach(({ near, far }) => { near.resetAndDestroy(); far.resetAndDestroy(); });
  /** Clients no longer get what the broker sends. */
  relay.stall = () => relay.pairs.forEach((pair) => {
    if (!pair.stalled) pair.far.unpipe(pair.near).pause();
    pair.stalled = true;
  });
  relay.resume = () => relay.pairs.forEach((pair) => {
    // Two pipes would send everything twice.
    if (pair.stalled) pair.far.pipe(pair.near);
    pair.stalled = false;
  });
  relay.stop = () => { server.close(); relay.kill(); };
  return relay;
}
