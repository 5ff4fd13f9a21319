// A text and a whiteboard in one Yjs document, over the y-websocket provider as it is published.
//
// Address: ?room=doc:demo&name=Ada&broker=ws://127.0.0.1:7400&token=…
import { EditorView, basicSetup } from 'codemirror';
import { EditorState } from '@codemirror/state';
import { yCollab } from 'y-codemirror.next';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';

const asked = new URLSearchParams(location.search);
const room = asked.get('room') ?? 'doc:demo';
const broker = asked.get('broker') ?? 'ws://127.0.0.1:7400';
const token = asked.get('token');

const COLOURS = ['#2563eb', '#dc2626', '#059669', '#9333ea', '#c2410c', '#0e7490', '#be185d', '#4d7c0f'];
const NAMES = ['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara', 'Donald', 'Radia', 'Tony'];

const doc = new Y.Doc();
const provider = new WebsocketProvider(`${broker}/yjs`, room, doc, { params: token ? { token } : {} });
const { awareness } = provider;
const colour = COLOURS[doc.clientID % COLOURS.length];
const me = { name: asked.get('name') ?? NAMES[doc.clientID % NAMES.length], color: colour, colorLight: `${colour}33` };
awareness.setLocalStateField('user', me);

const find = (id) => document.getElementById(id);

const state = (text) => { find('state').textContent = text; find('state').className = text; };
provider.on('status', ({ status }) => state(status));
// A close code from 4400 to 4499: the provider stays away.
provider.on('closed', ({ code, reason }) => state(`refused: ${reason || code}`));

const text = doc.getText('text');
new EditorView({
  parent: find('text'),
  state: EditorState.create({
    doc: text.toString(),
    extensions: [basicSetup, EditorView.lineWrapping, yCollab(text, awareness, { undoManager: new Y.UndoManager(text) })],
  }),
});

// Strokes are lists of points, from 0 to 1 in both directions, so that boards of different sizes show the same.
const strokes = doc.getArray('strokes');
const board = find('board');
const canvas = board.querySelector('canvas');
const pen = canvas.getContext('2d');

function draw() {
  const { width, height } = board.getBoundingClientRect();
  canvas.width = width * devicePixelRatio;
  canvas.height = height * devicePixelRatio;
  pen.scale(devicePixelRatio, devicePixelRatio);
  Object.assign(pen, { lineWidth: 3, lineCap: 'round', lineJoin: 'round' });
  for (const stroke of strokes) {
    pen.strokeStyle = stroke.get('colour');
    pen.beginPath();
    for (const [x, y] of stroke.get('points')) pen.lineTo(x * width, y * height);
    pen.stroke();
  }
}

const place = (event) => {
  const { left, top, width, height } = board.getBoundingClientRect();
  return [(event.clientX - left) / width, (event.clientY - top) / height].map((part) => Math.round(part * 1e4) / 1e4);
};

let stroke = null;
board.addEventListener('pointerdown', (event) => {
  board.setPointerCapture(event.pointerId);
  stroke = new Y.Map();
  doc.transact(() => {
    stroke.set('colour', me.color);
    stroke.set('points', Y.Array.from([place(event)]));
    strokes.push([stroke]);
  });
});
board.addEventListener('pointermove', (event) => {
  awareness.setLocalStateField('pointer', place(event));
  stroke?.get('points').push([place(event)]);
});
board.addEventListener('pointerup', () => { stroke = null; });
board.addEventListener('pointerleave', () => awareness.setLocalStateField('pointer', null));
find('clear').addEventListener('click', () => strokes.delete(0, strokes.length));
strokes.observeDeep(draw);
new ResizeObserver(draw).observe(board);

function people() {
  const everyone = [...awareness.getStates()].filter(([, { user }]) => user);
  find('people').replaceChildren(...everyone.map(([client, { user }]) => {
    const badge = document.createElement('span');
    badge.textContent = client === doc.clientID ? `${user.name} (you)` : user.name;
    badge.style.background = user.color;
    return badge;
  }));
  board.querySelectorAll('.cursor').forEach((cursor) => { if (!awareness.getStates().get(Number(cursor.dataset.client))?.pointer) cursor.remove(); });
  for (const [client, { user, pointer }] of everyone) {
    if (client === doc.clientID || !pointer) continue;
    let cursor = board.querySelector(`[data-client="${client}"]`);
    if (!cursor) {
      cursor = document.createElement('div');
      cursor.className = 'cursor';
      cursor.dataset.client = client;
      cursor.append(document.createElement('span'));
      board.append(cursor);
    }
    cursor.style.setProperty('--colour', user.color);
    cursor.firstChild.textContent = user.name;
    cursor.style.transform = `translate(${pointer[0] * board.clientWidth}px, ${pointer[1] * board.clientHeight}px)`;
  }
}
awareness.on('change', people);
people();
