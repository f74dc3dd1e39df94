/** Numbers as people read them. */

/** `3.1 MB`, decimal units. */
export function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : significant(value)} ${units[unit]}`;
}

/** `850 ns`, `12.3 µs`, `4.56 ms`, `1.2 s`. */
export function nanoseconds(durationNs: number): string {
  if (durationNs < 1e3) return `${Math.round(durationNs)} ns`;
  if (durationNs < 1e6) return `${significant(durationNs / 1e3)} µs`;
  if (durationNs < 1e9) return `${significant(durationNs / 1e6)} ms`;
  return `${significant(durationNs / 1e9)} s`;
}

/** Three significant digits, no exponent. */
export function significant(value: number): string {
  if (value >= 100) return Math.round(value).toString();
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** `12,345`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** `1 worker`, `3 workers`. */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
