// How many signed deliveries a second one core takes: `taskset -c 1 node bench.mjs [COUNT] [SUBSCRIBERS]`.
//
// The broker runs on core 0 with one shard. Each subscriber listens to its own repository's topic, and every delivery has
// its own name, so that each is verified, looked up, kept and published to one of them. BROKER_BIN must be a release build.
import { createHmac } from 'node:crypto';
import { connect } from 'node:net';
import { readFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import WebSocket from 'ws';
import { file, folder } from './support.mjs';

const [count = 50_000, subscribers = 1_000] = process.argv.slice(2).map(Number);
const CONNECTIONS = Number(process.env.CONNECTIONS ?? 64);
const durable = process.env.DURABLE === '1';

const config = file('bench.toml', `
[[source]]
name = 'repo'
provider = 'github'
secret_env = 'SECRET'
topic = 'github:{{ body.repository.full_name | topic_segment }}'
`);
const args = ['-c', '0', process.env.BROKER_BIN, 'serve', '--listen', '127.0.0.1:0', '--shards', '1', '--config', config];
if (durable) args.push('--data-dir', `${folder}/data`);
const child = spawn('taskset', args, { env: { PATH: process.env.PATH, SECRET: 'secret' }, stdio: ['ignore', 'pipe', 'inherit'] });
let address;
for await (const line of createInterface({ input: child.stdout })) {
  address = /ws:\/\/([\d.:]+)\/ws/.exec(line)?.[1];
  if (address) break;
}
const [host, port] = address.split(':');

const cpuSeconds = () => {
  const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
};

let received = 0;
await Promise.all(Array.from({ length: subscribers }, (_, n) => new Promise((resolve) => {
  const socket = new WebSocket(`ws://${address}/ws`);
  socket.once('open', () => socket.send(JSON.stringify({ type: 'subscribe', id: 1, topic: `github:octo/repo-${n}` })));
  socket.on('message', (frame) => {
    if (frame.includes('"type":"ok"')) resolve();
    received += frame.toString().split('"type":"message"').length - 1;
  });
})));

/** A push of about a kilobyte, signed. */
function delivery(n) {
  const body = JSON.stringify({
    ref: 'refs/heads/main', after: `${n}`.padStart(40, '0'), repository: { id: n, full_name: `octo/repo-${n % subscribers}` },
    pusher: { name: 'octocat' }, commits: [{ id: `${n}`.padStart(40, '0'), message: 'x'.repeat(600) }],
  });
  const signature = createHmac('sha256', 'secret').update(body).digest('hex');
  return Buffer.from(`POST /in/repo HTTP/1.1\r\nHost: ${address}\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\n`
    + `X-GitHub-Delivery: ${n}\r\nX-Hub-Signature-256: sha256=${signature}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
}
const deliveries = Array.from({ length: count }, (_, n) => delivery(n));

let next = 0;
const latencies = [];
function client() {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), noDelay: true });
    let sent;
    const step = () => {
      if (next === count) return resolve(socket.destroy());
      sent = performance.now();
      socket.write(deliveries[next++]);
    };
    socket.on('connect', step).on('error', reject);
    socket.on('data', (answer) => {
      if (!answer.includes('HTTP/1.1 200')) return reject(new Error(answer.toString()));
      latencies.push(performance.now() - sent);
      step();
    });
  });
}
const [started, cpu] = [performance.now(), cpuSeconds()];
await Promise.all(Array.from({ length: CONNECTIONS }, client));
const seconds = (performance.now() - started) / 1000;
const used = cpuSeconds() - cpu;
while (received < count) await new Promise((resolve) => setTimeout(resolve, 20));
latencies.sort((a, b) => a - b);
console.log(`${count} deliveries, ${subscribers} subscribers, ${durable ? 'durable' : 'in memory'}: ${Math.round(count / seconds)}/s, `
  + `${(used / count * 1e6).toFixed(0)} µs of CPU each, p50 ${latencies[count >> 1].toFixed(1)} ms, `
  + `p99 ${latencies[Math.floor(count * 0.99)].toFixed(1)} ms, all ${received} messages arrived`);
child.kill();
process.exit();
