// Numbers, sizes and times in words.

const grouped = new Intl.NumberFormat("en-GB");

export const num = (n) => grouped.format(Math.round(n));

/** short is a number in at most five characters: 950, 1.2k, 38k, 4.1M. */
export function short(n) {
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (n >= size * 0.9995) return (n / size >= 100 ? Math.round(n / size) : +(n / size).toFixed(1)) + unit;
  }
  return n > 0 && n < 10 && n % 1 ? n.toFixed(1) : String(Math.round(n));
}

export function bytes(n) {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (n >= size) return +(n / size).toFixed(n / size >= 100 ? 0 : 1) + " " + unit;
  }
  return Math.round(n) + " B";
}

/** span is a duration in its largest two units. */
export function span(seconds) {
  const sec = Math.max(0, Math.round(seconds));
  if (sec < 60) return sec + " s";
  const min = Math.floor(sec / 60);
  if (min < 10) return min + " min " + (sec % 60) + " s";
  if (min < 60) return min + " min";
  const hours = Math.floor(min / 60);
  if (hours < 48) return hours + " h " + (min % 60 ? (min % 60) + " min" : "");
  const days = Math.floor(hours / 24);
  return days + " d" + (hours % 24 ? " " + (hours % 24) + " h" : "");
}

/** lag is a delay: milliseconds while it is small. */
export function lag(seconds) {
  if (seconds < 1) return Math.max(0, Math.round(seconds * 1000)) + " ms";
  if (seconds < 10) return seconds.toFixed(1) + " s";
  return span(seconds);
}

let skew = 0; // the server's clock minus ours, so that countdowns agree with it

export const setClock = (iso) => {
  const at = Date.parse(iso);
  if (at) skew = at - Date.now();
};
export const now = () => Date.now() + skew;

export function ago(iso) {
  const sec = (now() - Date.parse(iso)) / 1000;
  if (sec < -1.5) return "in " + span(-sec);
  if (sec < 1.5) return "now";
  if (sec < 60) return Math.round(sec) + " s";
  if (sec < 3600) return Math.floor(sec / 60) + " min";
  if (sec < 172800) return Math.floor(sec / 3600) + " h";
  return Math.floor(sec / 86400) + " d";
}

export function left(iso) {
  const sec = (Date.parse(iso) - now()) / 1000;
  return sec <= 0 ? "ends now" : span(sec) + " left";
}

const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

export const when = (iso) => full.format(new Date(iso));
const dayClock = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
export const day = (unix) => dayClock.format(new Date(unix * 1000));
export const minute = (unix) => clock.format(new Date(unix * 1000));

export const plural = (n, one, many) => num(n) + " " + (n === 1 ? one : many || one + "s");
