// The load tester measures Pusher and Centrifugo servers with adapters of its own, which its tests try against the peers
// in this folder's parent. Here those peers have to satisfy the protocols' official clients.
"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const net = require("node:net");
const path = require("node:path");
const { test } = require("node:test");
const { Centrifuge } = require("centrifuge");
const PusherServer = require("pusher");
const Pusher = require("pusher-js");
const WebSocket = require("ws");

async function freePort() {
  const listener = net.createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  return port;
}

/** Starts a peer and waits until it listens; it ends with the test. */
async function start(t, script) {
  const port = await freePort();
  const modules = path.join(__dirname, "node_modules");
  const env = { ...process.env, NODE_PATH: modules };
  const child = spawn(process.execPath, [path.join(__dirname, "..", script), String(port)], { env, stdio: "inherit" });
  t.after(() => child.kill());
  for (let tries = 0; ; tries += 1) {
    const socket = net.connect(port, "127.0.0.1");
    const there = await Promise.race([once(socket, "connect").then(() => true), once(socket, "error").then(() => false)]).catch(() => false);
    socket.destroy();
    if (there) return port;
    assert.ok(tries < 200, "the peer does not listen");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const happens = (emitter, name) => new Promise((resolve) => emitter.on(name, resolve));

test("Pusher's official libraries connect, subscribe, publish and receive", { timeout: 60_000 }, async (t) => {
  const port = await start(t, "pusher.js");
  const client = new Pusher("app-key", {
    cluster: "", wsHost: "127.0.0.1", wsPort: port, forceTLS: false, enabledTransports: ["ws"], disableStats: true,
  });
  t.after(() => client.disconnect());
  const channel = client.subscribe("bench-1");
  const received = new Promise((resolve) => channel.bind("message", resolve));
  await new Promise((resolve) => channel.bind("pusher:subscription_succeeded", resolve));

  const backend = (secret) =>
    new PusherServer({ appId: "app-id", key: "app-key", secret, host: "127.0.0.1", port: String(port), useTLS: false });
  const answer = await backend("app-secret").trigger("bench-1", "message", { text: "hello" });
  assert.equal(answer.status, 200);
  assert.deepEqual(await received, { text: "hello" });
  await assert.rejects(backend("wrong").trigger("bench-1", "message", {}), (error) => error.status === 401);
});

test("Pusher's official client is told that there is no such application", { timeout: 60_000 }, async (t) => {
  const port = await start(t, "pusher.js");
  const client = new Pusher("other-key", {
    cluster: "", wsHost: "127.0.0.1", wsPort: port, forceTLS: false, enabledTransports: ["ws"], disableStats: true,
  });
  t.after(() => client.disconnect());
  const error = await new Promise((resolve) => client.connection.bind("error", resolve));
  assert.equal(error.error.data.code, 4001);
});

test("Centrifugo's official client connects, subscribes, publishes, receives and leaves", { timeout: 60_000 }, async (t) => {
  const port = await start(t, "centrifugo.js");
  const client = new Centrifuge(`ws://127.0.0.1:${port}/connection/websocket`, { websocket: WebSocket });
  t.after(() => client.disconnect());
  const subscription = client.newSubscription("bench-1");
  const subscribed = happens(subscription, "subscribed");
  const received = happens(subscription, "publication");
  subscription.subscribe();
  client.connect();
  await subscribed;
  await client.publish("bench-1", { text: "hello" });
  assert.deepEqual((await received).data, { text: "hello" });
  const left = happens(subscription, "unsubscribed");
  subscription.unsubscribe();
  await left;
  await assert.rejects(client.presence("bench-1"), (error) => error.code === 104);
});
