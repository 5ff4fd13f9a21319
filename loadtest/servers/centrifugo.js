// A server of Centrifugo's client protocol in JSON, as far as connect, subscribe, unsubscribe, publish and pings go.
// The port is the only argument.
const { WebSocketServer } = require("ws");

const PING_S = 25;
const epoch = Date.now().toString(36);
const channels = new Map();
const error = (code, message) => ({ error: { code, message } });

function channel(name) {
  if (!channels.has(name)) channels.set(name, { offset: 0, sockets: new Set() });
  return channels.get(name);
}

/** What each command does and answers. */
const commands = {
  connect(client) {
    if (client.id) return error(105, "already subscribed");
    client.id = `c${Math.random().toString(36).slice(2)}`;
    return { connect: { client: client.id, version: "peer", ping: PING_S, pong: true } };
  },
  subscribe(client, { channel: name }) {
    if (!name) return error(107, "bad request");
    if (client.channels.has(name)) return error(105, "already subscribed");
    channel(name).sockets.add(client.socket);
    client.channels.add(name);
    return { subscribe: { positioned: true, epoch, offset: channel(name).offset } };
  },
  unsubscribe(client, { channel: name }) {
    channel(name).sockets.delete(client.socket);
    client.channels.delete(name);
    return { unsubscribe: {} };
  },
  publish(client, { channel: name, data }) {
    if (!name || data === undefined) return error(107, "bad request");
    const { sockets } = channel(name);
    channel(name).offset += 1;
    const push = JSON.stringify({ push: { channel: name, pub: { data, offset: channel(name).offset } } });
    for (const socket of sockets) socket.send(push);
    return { publish: {} };
  },
};

const server = new WebSocketServer({
  host: "127.0.0.1", port: Number(process.argv[2]), path: "/connection/websocket", backlog: 4096,
});
server.on("connection", (socket) => {
  const client = { socket, id: undefined, channels: new Set() };
  const pings = setInterval(() => client.id && socket.send("{}"), PING_S * 1000);
  socket.on("error", () => {});
  socket.on("close", () => {
    clearInterval(pings);
    client.channels.forEach((name) => channel(name).sockets.delete(socket));
  });
  socket.on("message", (text) => {
    const replies = [];
    for (const line of text.toString().split("\n").filter(Boolean)) {
      const { id, ...command } = JSON.parse(line);
      // Without a number it is the answer to a ping.
      if (!id) continue;
      const [[name, body] = []] = Object.entries(command);
      if (!commands[name]) replies.push({ id, ...error(104, "method not found") });
      else if (!client.id && name !== "connect") return socket.close(3003, "bad request");
      else replies.push({ id, ...commands[name](client, body) });
    }
    if (replies.length) socket.send(replies.map((reply) => JSON.stringify(reply)).join("\n"));
  });
});
