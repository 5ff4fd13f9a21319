// Random edits of everything a document can hold.
import * as Y from 'yjs';

const WORDS = ['a', 'hello ', 'wörld', '日本', '😀', '\n', ' and so on', 'x'.repeat(40)];

/** A place in a text that is not inside a surrogate pair: Yjs itself does not converge where one is cut. */
function place(text, random) {
  const plain = text.toString();
  const at = random.below(text.length + 1);
  // Embeds are in the length and not in the text, so texts with embeds are only appended to.
  if (plain.length !== text.length) return text.length;
  return at > 0 && at < plain.length && plain.charCodeAt(at) >= 0xdc00 && plain.charCodeAt(at) < 0xe000 ? at - 1 : at;
}

function span(text, random) {
  const [from, to] = [place(text, random), place(text, random)].sort((a, b) => a - b);
  return [from, Math.min(to - from, 12) && to - from <= 12 ? to - from : 0];
}

const value = (random) => random.pick([
  () => random.below(1000), () => random.next(), () => null, () => true, () => 'text', () => -1, () => 2 ** 40,
  () => ({ nested: [1, { deep: 'é' }] }), () => new Uint8Array([1, 2, random.below(256)]),
])();

const shared = (random) => random.pick([
  () => new Y.Text('nested'), () => Y.Array.from([1, 'two']), () => new Y.Map([['k', random.below(9)]]),
])();

const EDITS = [
  ...Array(8).fill((doc, random) => { const text = doc.getText('text'); text.insert(place(text, random), random.pick(WORDS)); }),
  ...Array(4).fill((doc, random) => {
    const text = doc.getText('text');
    const [at, length] = span(text, random);
    if (length > 0) text.delete(at, length);
  }),
  (doc, random) => {
    const text = doc.getText('text');
    const [at, length] = span(text, random);
    if (length > 0) text.format(at, length, { [random.pick(['bold', 'em'])]: random.pick([true, null]) });
  },
  (doc, random) => doc.getMap('map').set(`k${random.below(6)}`, value(random)),
  (doc, random) => doc.getMap('map').set(`s${random.below(4)}`, shared(random)),
  (doc, random) => doc.getMap('map').delete(`k${random.below(6)}`),
  (doc, random) => {
    const array = doc.getArray('array');
    array.insert(random.below(array.length + 1), random.chance(0.3) ? [shared(random)] : [value(random), value(random)]);
  },
  (doc, random) => {
    const array = doc.getArray('array');
    if (array.length > 0) array.delete(random.below(array.length), 1);
  },
  (doc, random) => {
    for (const nested of doc.getMap('map').values()) {
      if (nested instanceof Y.Text) nested.insert(0, 'n');
      if (nested instanceof Y.Map) nested.set('again', random.below(100));
      if (nested instanceof Y.Array) nested.push([random.below(100)]);
    }
  },
  (doc, random) => {
    const xml = doc.getXmlFragment('xml');
    const element = new Y.XmlElement(random.pick(['p', 'h1', 'li']));
    element.setAttribute('id', String(random.below(100)));
    element.insert(0, [new Y.XmlText('content')]);
    xml.insert(random.below(xml.length + 1), [element]);
  },
  (doc, random) => {
    const xml = doc.getXmlFragment('xml');
    if (xml.length > 0) xml.delete(random.below(xml.length), 1);
  },
];

/** One change, or many in one transaction, or one that is large. */
export function edit(doc, random) {
  const one = () => random.pick(EDITS)(doc, random);
  if (random.chance(0.05)) doc.transact(() => { for (let i = 0; i < 20; i += 1) one(); });
  else if (random.chance(0.01)) doc.getText('text').insert(0, 'large '.repeat(10_000));
  else one();
}
