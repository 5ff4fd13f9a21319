// The server of @y/websocket-server as its own `server.js` sets it up, but over the `ws` that is installed here, and without
// the database it imports: a native package that documents in memory do not need.
import { createServer } from 'node:http';
import { register } from 'node:module';
import { WebSocketServer } from 'ws';

register(`data:text/javascript,${encodeURIComponent(`
  export const resolve = (name, context, next) => name === 'y-leveldb'
    ? { url: 'data:text/javascript,export const LeveldbPersistence = null', shortCircuit: true }
    : next(name, context);
`)}`, import.meta.url);
const { setupWSConnection } = await import('@y/websocket-server/utils');

const sockets = new WebSocketServer({ noServer: true });
sockets.on('connection', setupWSConnection);
const server = createServer();
server.on('upgrade', (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (opened) => sockets.emit('connection', opened, request));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
