// A small chart of one figure over the last two minutes.

const WINDOW_MS = 120_000;
/** Points further apart than this have a hole between them. */
const HOLE_MS = 5_000;
const WIDTH = 240, HEIGHT = 46, TOP = 4;

const svg = (name, attributes) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  return element;
};

/** `label` names it for those who cannot see it; `point(value | undefined, agoSeconds)` is told what the pointer is at. */
export function chart(label, point) {
  const element = svg('svg', { class: 'chart', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label });
  const area = svg('path', { class: 'area' }), curve = svg('path', { class: 'curve' });
  const cursor = svg('line', { class: 'cursor', y1: 0, y2: HEIGHT, visibility: 'hidden' });
  element.append(svg('line', { class: 'floor', x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }), area, curve, cursor);
  let points = [];

  const x = (time, now) => WIDTH * (1 - (now - time) / WINDOW_MS);

  function draw(now) {
    const highest = Math.max(...points.map(({ value }) => value), 1e-9);
    const y = (value) => HEIGHT - 1 - (HEIGHT - TOP - 1) * (value / highest);
    const runs = [];
    for (const [index, { time, value }] of points.entries()) {
      if (index === 0 || time - points[index - 1].time > HOLE_MS) runs.push([]);
      runs.at(-1).push(`${x(time, now).toFixed(1)},${y(value).toFixed(1)}`);
    }
    curve.setAttribute('d', runs.map((run) => `M${run.join('L')}`).join(''));
    const floor = (place) => `${place.split(',')[0]},${HEIGHT}`;
    area.setAttribute('d', runs.map((run) => `M${floor(run[0])}L${run.join('L')}L${floor(run.at(-1))}Z`).join(''));
  }

  element.addEventListener('pointermove', ({ clientX }) => {
    const box = element.getBoundingClientRect(), now = points.at(-1)?.time;
    if (now === undefined) return;
    const time = now - WINDOW_MS * (1 - (clientX - box.left) / box.width);
    const nearest = points.reduce((best, other) => (Math.abs(other.time - time) < Math.abs(best.time - time) ? other : best));
    for (const end of ['x1', 'x2']) cursor.setAttribute(end, x(nearest.time, now));
    cursor.setAttribute('visibility', 'visible');
    point(nearest.value, Math.round((now - nearest.time) / 1000));
  });
  element.addEventListener('pointerleave', () => { cursor.setAttribute('visibility', 'hidden'); point(undefined); });

  return {
    element,
    add(time, value) {
      points.push({ time, value });
      points = points.filter((other) => time - other.time <= WINDOW_MS);
      draw(time);
    },
  };
}
