// A Pusher Channels server, as far as public channels and publishing go: protocol 7 on WebSockets, and the HTTP API's
// POST /apps/ID/events with its signatures checked. The port is the only argument; the application is
// app-id, app-key, app-secret.
const { createHash, createHmac } = require("node:crypto");
const http = require("node:http");
const { WebSocketServer } = require("ws");

const [id, key, secret] = ["app-id", "app-key", "app-secret"];
const channels = new Map();

/** Data inside an event is JSON in a string. */
const event = (name, data, channel) =>
  JSON.stringify({ event: name, channel, data: typeof data === "string" ? data : JSON.stringify(data) });

const server = http.createServer((request, response) => {
  const body = [];
  request.on("data", (part) => body.push(part));
  request.on("end", () => {
    const [status, answer] = publish(request, Buffer.concat(body).toString());
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(answer));
  });
});

function publish(request, body) {
  const url = new URL(request.url, "http://localhost");
  if (request.method !== "POST" || url.pathname !== `/apps/${id}/events`) return [404, { error: "no such path" }];
  const wrong = signatureFault(request.method, url, body);
  if (wrong) return [401, { error: wrong }];
  const { name, data, channel, channels: several = [channel] } = JSON.parse(body);
  if (!name || !several.every((one) => /^[\w\-=@,.;]{1,164}$/.test(one))) return [400, { error: "bad event" }];
  for (const one of several) {
    const frame = event(name, data, one);
    for (const socket of channels.get(one) ?? []) socket.send(frame);
  }
  return [200, {}];
}

function signatureFault(method, url, body) {
  const query = [...url.searchParams].sort(([a], [b]) => (a < b ? -1 : 1));
  const given = Object.fromEntries(query);
  const signed = query.filter(([name]) => name !== "auth_signature").map(([name, value]) => `${name}=${value}`);
  const text = [method, url.pathname, signed.join("&")].join("\n");
  if (given.auth_key !== key) return "unknown auth_key";
  if (Math.abs(Date.now() / 1000 - given.auth_timestamp) > 600) return "auth_timestamp is too far off";
  if (given.body_md5 !== createHash("md5").update(body).digest("hex")) return "body_md5 does not fit";
  if (given.auth_signature !== createHmac("sha256", secret).update(text).digest("hex")) return "bad signature";
  return undefined;
}

let clients = 0;
new WebSocketServer({ server }).on("connection", (socket, request) => {
  const mine = new Set();
  const leave = (channel) => {
    mine.delete(channel);
    channels.get(channel)?.delete(socket);
  };
  socket.on("error", () => {});
  socket.on("close", () => mine.forEach(leave));
  if (new URL(request.url, "http://localhost").pathname !== `/app/${key}`) {
    socket.send(event("pusher:error", { code: 4001, message: "there is no such application" }));
    socket.close(4001);
    return;
  }
  clients += 1;
  socket.send(event("pusher:connection_established", { socket_id: `1.${clients}`, activity_timeout: 120 }));
  socket.on("message", (text) => {
    const { event: name, data } = JSON.parse(text);
    if (name === "pusher:ping") socket.send(event("pusher:pong", {}));
    if (name === "pusher:unsubscribe") leave(data.channel);
    if (name !== "pusher:subscribe") return;
    const { channel } = data;
    if (!channels.has(channel)) channels.set(channel, new Set());
    channels.get(channel).add(socket);
    mine.add(channel);
    socket.send(event("pusher_internal:subscription_succeeded", {}, channel));
  });
});
server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
