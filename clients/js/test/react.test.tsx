import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { JSDOM } from 'jsdom';
import { act, StrictMode } from 'react';
import type { Root } from 'react-dom/client';
import { Fanwire } from '../src/client.js';
import { FanwireProvider, useConnectionState, useFanwire, useLatest, usePresence, useTopic } from '../src/react.js';
import { FakeSocket } from './support/fake-socket.js';

const dom = new JSDOM('<div id="root"></div>');
Object.assign(globalThis, {
	window: dom.window,
	document: dom.window.document,
	navigator: dom.window.navigator,
	IS_REACT_ACT_ENVIRONMENT: true,
});
const { createRoot } = await import('react-dom/client');

let client: Fanwire;
let root: Root;
let place: HTMLElement;

beforeEach(() => {
	FakeSocket.reset();
	client = new Fanwire('ws://broker/ws', { WebSocket: FakeSocket });
	place = dom.window.document.createElement('div');
	root = createRoot(place);
});

afterEach(async () => {
	await act(async () => root.unmount());
	client.close();
});

/** Lets effects, and what they put off, happen. */
const settle = () => act(() => new Promise<void>((resolve) => setTimeout(resolve, 5)));

async function render(children: React.ReactNode): Promise<FakeSocket> {
	await act(async () => root.render(<FanwireProvider client={client}>{children}</FanwireProvider>));
	await settle();
	if (client.state === 'connecting') await act(async () => void FakeSocket.last.welcome());
	return FakeSocket.last;
}

const receive = (socket: FakeSocket, ...events: Record<string, unknown>[]) =>
	act(async () => socket.receive(...events));
const answer = (socket: FakeSocket, fields: Record<string, unknown>) =>
	act(async () => void socket.answer('subscribe', fields));
const message = (offset: number, data: unknown, fields = {}) => ({
	type: 'message',
	topic: 't',
	offset,
	time: 1,
	data,
	...fields,
});

function Chat({ limit = 3 }: { limit?: number }) {
	const { messages, state, error, losses } = useTopic<string>('t', { last: 2, limit });
	return <p>{[state, losses, error?.code ?? '-', ...messages.map(({ data }) => data)].join(' ')}</p>;
}

test('messages are shown, the newest of them', async () => {
	const socket = await render(<Chat />);
	assert.equal(place.textContent, 'subscribing 0 -');
	const command = socket.sent[0];
	await answer(socket, { epoch: 'a', offset: 0 });
	assert.equal(command?.last, 2);
	await receive(socket, message(1, 'a'), message(2, 'b'), message(3, 'c'), message(4, 'd'));
	assert.equal(place.textContent, 'live 0 - b c d');
	await receive(socket, { type: 'gap', topic: 't', epoch: 'a', after: 4, next: 9 }, message(9, 'e'));
	assert.equal(place.textContent, 'live 1 - c d e');
	await receive(socket, { type: 'end', topic: 't', code: 'forbidden' });
	assert.equal(place.textContent, 'ended 1 forbidden c d e');
});

test('one frame is one rendering', async () => {
	let renderings = 0;
	function Counter() {
		renderings++;
		return useTopic('t').messages.length;
	}
	const socket = await render(<Counter />);
	await answer(socket, { epoch: 'a', offset: 0 });
	const before = renderings;
	await receive(socket, ...Array.from({ length: 50 }, (_, n) => message(n + 1, n)));
	assert.equal(renderings - before, 1);
	assert.equal(place.textContent, '50');
});

test('components share a subscription; strict mode and unmounting leave none behind', async () => {
	const socket = await render(
		<StrictMode>
			<Chat />
			<Chat limit={1} />
		</StrictMode>,
	);
	await answer(socket, { epoch: 'a', offset: 0 });
	assert.equal(socket.sent.length, 0);
	await receive(socket, message(1, 'a'), message(2, 'b'));
	assert.equal(place.textContent, 'live 0 - a blive 0 - b');
	await render(<Chat />);
	assert.equal(socket.sent.length, 0);
	await render(null);
	socket.take('unsubscribe');
	await render(<Chat />);
	socket.take('subscribe');
});

test('presence joins a subscription that is there, without losing its place', async () => {
	function People() {
		return (
			<i>
				{usePresence('t')
					.members.map(({ user }) => user)
					.join('+')}
			</i>
		);
	}
	const socket = await render(<Chat />);
	await answer(socket, { epoch: 'a', offset: 0 });
	await receive(socket, message(1, 'a'));
	await render(
		<>
			<Chat />
			<People />
		</>,
	);
	await act(async () => void socket.answer('unsubscribe'));
	const command = socket.sent[0];
	assert.deepEqual([command?.since, command?.presence], [{ epoch: 'a', offset: 1 }, true]);
	await answer(socket, { epoch: 'a', offset: 1, recovered: true, members: [{ client: 'c1', user: 'ann' }] });
	await receive(socket, { type: 'join', topic: 't', client: 'c2', user: 'bob' }, message(2, 'b'));
	assert.equal(place.textContent, 'live 0 - a bann+bob');
});

test('the latest values by key', async () => {
	function Board() {
		const { latest } = useLatest<number>('t', { maxRate: 5 });
		return <p>{[...latest].map(([key, { data }]) => `${key}=${data}`).join(' ')}</p>;
	}
	const socket = await render(<Board />);
	assert.equal(socket.sent[0]?.max_rate, 5);
	await answer(socket, { epoch: 'a', offset: 2 });
	await receive(socket, message(1, 1, { key: 'x' }), message(2, 2, { key: 'y' }), message(3, 3, { key: 'x' }));
	assert.equal(place.textContent, 'x=3 y=2');
});

test('publishing and the state of the connection', async (context) => {
	// The pause before it comes back outlasts the test.
	context.mock.method(Math, 'random', () => 1);
	client.close();
	client = new Fanwire('ws://broker/ws', { WebSocket: FakeSocket, backoff: { minMs: 60_000, maxMs: 60_000 } });
	function Form() {
		const { publish } = useTopic<string>('t');
		const state = useConnectionState();
		assert.equal(useFanwire(), client);
		return (
			<button type="button" onClick={() => publish('hi')}>
				{state}
			</button>
		);
	}
	const socket = await render(<Form />);
	assert.equal(place.textContent, 'open');
	await answer(socket, { epoch: 'a', offset: 0 });
	dom.window.document.body.append(place);
	await act(async () => place.querySelector('button')?.click());
	assert.equal(socket.take('publish').data, 'hi');
	await act(async () => socket.drop());
	assert.equal(place.textContent, 'waiting');
});
