// Numbers, sizes and times as people read them.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const short = new Intl.NumberFormat('en', { notation: 'compact', minimumFractionDigits: 1, maximumFractionDigits: 1 });

export const count = (number) => (number >= 1e7 ? short.format(number) : whole.format(number));

/** A rate a second; what is not known yet is a dash. */
export function rate(number) {
  if (number === null || number === undefined) return '–';
  if (number === 0) return '0';
  if (number < 100) return tenths.format(number);
  return number < 1e5 ? whole.format(number) : short.format(number);
}

export function bytes(number) {
  if (number === null || number === undefined) return '–';
  if (number < 1024) return `${number} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let size = number / 1024;
  while (size >= 1000 && units.length > 1) { size /= 1024; units.shift(); }
  return `${size < 100 ? tenths.format(size) : whole.format(size)} ${units[0]}`;
}

export function span(seconds) {
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const first = parts.findIndex(([size]) => seconds >= size);
  if (first < 0) return '0 s';
  const [size, unit] = parts[first];
  const [next, small] = parts[first + 1] ?? [];
  const rest = next ? Math.floor((seconds % size) / next) : 0;
  return `${Math.floor(seconds / size)} ${unit}${rest > 0 && first < 2 ? ` ${rest} ${small}` : ''}`;
}

/** How long ago something was by the broker's clock. */
export function ago(time, now) {
  if (!time) return 'never';
  const seconds = Math.max(0, Math.floor((now - time) / 1000));
  return seconds < 2 ? 'now' : `${span(seconds)} ago`;
}

export function clock(time) {
  const at = new Date(time);
  return `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}

export const milliseconds = (number) => (number === undefined ? '–' : `${number < 10 ? tenths.format(number) : whole.format(number)} ms`);
