// Numbers and times as a person reads them. The minus is a minus; what is not known is a dash.

const DASH = "–";
const known = (value) => typeof value === "number" && Number.isFinite(value);
const minus = (text) => text.replace("-", "−");

export const fixed = (value, digits = 2) => (known(value) ? minus(value.toFixed(digits)) : DASH);

/** With its sign; a value that rounds to nothing has none. */
export function signed(value, digits = 2) {
  if (!known(value)) return DASH;
  const text = value.toFixed(digits);
  if (Number(text) === 0) return (0).toFixed(digits);
  return minus(value > 0 ? `+${text}` : text);
}

export const percent = (value, digits = 0) => (known(value) ? `${minus((100 * value).toFixed(digits))} %` : DASH);

/** A return in basis points. */
export const points = (value, digits = 1) => (known(value) ? `${signed(1e4 * value, digits)} bp` : DASH);

/** `2025-06-13T20:00:00Z` as `13 Jun 2025, 20:00 UTC`; the browser's own zone would differ between two readers. */
export function moment(text) {
  const at = new Date(text ?? NaN);
  if (Number.isNaN(at.getTime())) return DASH;
  const part = (options) => at.toLocaleString("en-GB", { timeZone: "UTC", ...options });
  const day = part({ day: "numeric", month: "short", year: "numeric" });
  return `${day}, ${part({ hour: "2-digit", minute: "2-digit" })} UTC`;
}

export const day = (text) => moment(text).split(",")[0];

/** The time of day where the reader is. */
export const clock = (at) => at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];

/** Seconds in the two largest units that matter: `3 h 10 min`. */
export function duration(seconds) {
  if (!known(seconds)) return DASH;
  let left = Math.max(0, Math.round(seconds));
  const first = UNITS.findIndex(([, size]) => left >= size);
  if (first < 0) return "0 min";
  if (first === 0 && left >= 3 * 86_400) return `${Math.floor(left / 86_400)} days`;
  return UNITS.slice(first, first + 2).map(([name, size]) => {
    const count = Math.floor(left / size);
    left -= count * size;
    return count ? `${count} ${name}` : "";
  }).filter(Boolean).join(" ");
}

/** `strong_buy` as `strong buy`. */
export const words = (name) => String(name ?? DASH).replaceAll("_", " ");
