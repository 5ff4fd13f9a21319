import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { required } from './required.js';

/** The broker to test against. */
export const BIN = process.env.BROKER_BIN ?? fileURLToPath(new URL('../../../target/debug/fanwire', import.meta.url));

/** For `test(…, { skip })`: why these tests cannot run, or false. */
export const skip = required(existsSync(BIN), `no broker at ${BIN}; build it or set BROKER_BIN`);

/** The broker refuses `FANWIRE_…` variables that it does not know, like the one above: it gets none of them. */
export const ENV: NodeJS.ProcessEnv = { PATH: process.env.PATH };

/** A broker process. */
export class Broker {
	private constructor(
		readonly port: number,
		readonly args: string[],
		private process: ChildProcess,
	) {}

	/** Where its WebSocket is. */
	get url(): string {
		return `ws://127.0.0.1:${this.port}/ws`;
	}

	static async start(...args: string[]): Promise<Broker> {
		const [process, port] = await launch('127.0.0.1:0', args);
		return new Broker(port, args, process);
	}

	/** Ends it, gently or not, and starts another one, with its memory lost, on the same port. */
	async restart(signal: NodeJS.Signals, between: () => Promise<void> = async () => {}): Promise<void> {
		await this.stop(signal);
		await between();
		[this.process] = await launch(`127.0.0.1:${this.port}`, this.args);
	}

	async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
		if (this.process.exitCode !== null || this.process.signalCode !== null) return;
		const exit = once(this.process, 'exit');
		this.process.kill(signal);
		await exit;
	}
}

async function launch(listen: string, args: string[]): Promise<[ChildProcess, number]> {
	const child = spawn(BIN, ['serve', '--listen', listen, ...args], { env: ENV, stdio: ['ignore', 'pipe', 'pipe'] });
	const log: string[] = [];
	const port = await new Promise<number>((resolve, reject) => {
		for (const stream of [child.stdout, child.stderr]) {
			createInterface({ input: stream }).on('line', (line) => {
				log.push(line);
				const found = /ws:\/\/[^/]*:(\d+)\/ws/.exec(line);
				if (found) resolve(Number(found[1]));
			});
		}
		child.once('exit', (code) => reject(new Error(`the broker ended with ${code}:\n${log.join('\n')}`)));
	});
	return [child, port];
}
