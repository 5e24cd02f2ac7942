/** Seconds as a reader says them: `0.4s`, `17s`, `1m 07s`, `2h 03m`. */
export function duration(seconds: number): string {
  const value = Math.max(0, seconds);
  if (value < 9.95) return `${value.toFixed(1)}s`;
  const whole = Math.round(value);
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h ${two(Math.floor((whole % 3600) / 60))}m`;
}

/** Seconds that have passed until now, in whole seconds so that the text changes once a second. */
export function elapsed(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  return whole < 10 ? `${whole}s` : duration(whole);
}

/** An estimate, no finer than an estimate is: `40s`, `3m`, `1h 20m`. */
export function estimate(seconds: number): string {
  if (seconds < 55) return `${Math.max(5, Math.ceil(seconds / 5) * 5)}s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 60 ? `${minutes}m` : `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
}

/** Bytes in decimal units with three significant digits: `812 B`, `34.3 MB`, `1.25 GB`. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const text = unit === 0 ? value.toFixed(0) : value.toPrecision(3);
  return `${text} ${units[unit] ?? ""}`;
}

/** `1 job`, `3 jobs`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function two(number: number): string {
  return String(number).padStart(2, "0");
}
