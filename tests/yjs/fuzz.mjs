// Convergence: editors with the stock provider, random edits, and everything that can go wrong between them.
//
//   node fuzz.mjs [--seeds 200] [--first 1] [--jobs 2] [--steps 400]
import { parseArgs } from 'node:util';
import { edit } from './edits.mjs';
import { Random } from './random.mjs';
import { startRelay } from './relay.mjs';
import { connect, converged, folder, sleep, startBroker, until } from './support.mjs';

// Merging often, so that it happens between all kinds of edits.
const RULES = "[[rule]]\npattern = 'doc:**'\nkind = 'document'\nmerge_updates = 8\n";
/** What Yjs could not read; it writes that to the console and goes on. */
let unread = '';
const complain = console.error;
console.error = (...what) => { if (String(what[0]).startsWith('Caught')) unread += what.join(' '); complain(...what); };

/** One run; throws where clients end up with different documents. */
export async function run(seed, steps = 160) {
  const random = new Random(seed);
  const data = folder();
  const start = () => startBroker({ configuration: RULES, args: ['--data-dir', data] });
  let broker = await start();
  const room = `doc:fuzz-${seed}`;
  const clients = [];
  for (let i = 0; i < 3 + random.below(3); i += 1) {
    const relay = await startRelay(broker.address);
    clients.push({ relay, ...connect(relay, room) });
  }
  const kill = random.below(steps);
  try {
    for (let step = 0; step < steps; step += 1) {
      const client = random.pick(clients);
      const fate = random.next();
      if (fate < 0.03) {
        if (client.provider.shouldConnect) client.provider.disconnect(); else client.provider.connect();
      } else if (fate < 0.05) client.relay.kill();
      else if (fate < 0.07) client.relay.stall();
      else if (fate < 0.10) client.relay.resume();
      else if (fate < 0.15) client.provider.awareness.setLocalState({ cursor: random.below(1000) });
      else edit(client.doc, random);
      if (step === kill) {
        await broker.kill();
        broker = await start();
        clients.forEach(({ relay }) => { relay.target = broker.address; });
      }
      if (random.chance(0.3)) await sleep(random.below(12));
    }
    clients.forEach(({ relay, provider }) => { relay.resume(); provider.connect(); });
    await until(() => clients.every(({ provider }) => provider.synced), 'all synced', 30_000);
    const late = connect(broker, room);
    clients.push({ relay: { stop() {} }, ...late });
    await until(() => late.provider.synced, 'late one synced');
    await converged(clients.map(({ doc }) => doc), 30_000);
    if (/panicked|ERROR/.test(broker.log)) throw new Error(`the broker complains: ${broker.log}`);
    if (unread) throw new Error(`a client got what it cannot read: ${unread}`);
  } finally {
    clients.forEach(({ relay, close }) => { close(); relay.stop(); });
    await broker.kill();
  }
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const options = { seeds: { type: 'string', default: '200' }, first: { type: 'string', default: '1' }, jobs: { type: 'string', default: '2' }, steps: { type: 'string', default: '400' } };
  const { values } = parseArgs({ options });
  const last = Number(values.first) + Number(values.seeds);
  let [next, passed] = [Number(values.first), 0];
  const failed = [];
  const work = async () => {
    while (next < last) {
      const seed = next;
      next += 1;
      try {
        await run(seed, Number(values.steps));
        passed += 1;
      } catch (error) {
        failed.push(seed);
        console.error(`seed ${seed}: ${error.stack}`);
      }
      if ((passed + failed.length) % 20 === 0) console.log(`${passed} passed, ${failed.length} failed`);
    }
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, work));
  console.log(`${passed} seeds converged, ${failed.length} did not${failed.length ? `: ${failed.join(' ')}` : ''}`);
  process.exit(failed.length ? 1 : 0);
}
