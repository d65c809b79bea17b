// The traffic chart: requests by status class over a range of time, stacked bars. The
// arrow keys move a cursor whose bar is read out below.
import { h, s, byId, text } from "./dom.js";
import { num, short, minute, day } from "./format.js";

const classes = [
  { key: "s2xx", name: "2xx", mark: "k2" },
  { key: "s3xx", name: "3xx", mark: "k3" },
  { key: "s4xx", name: "4xx", mark: "k4" },
  { key: "s5xx", name: "5xx", mark: "k5" },
  { key: "denied", name: "denied by us", mark: "kd" },
];
const most = 96; // bars, at the most
const box = { width: 720, height: 130, left: 34, bottom: 16, top: 8 };

let bars = [];
let cursor = -1;

let minutes = 60; // bars
let step = 60; // seconds of a bar
let words = "hour"; // the range, in words

/** binned sums the rollups of all sources into bars. Our own answers are 4xx too; they are
 * taken out of those, so that the stack adds up to the requests. */
function binned(rollups, end, seconds) {
  step = Math.max(60, Math.ceil(seconds / most / 60) * 60);
  for (const nice of [60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800]) if (nice >= step) { step = nice; break; }
  minutes = Math.ceil(seconds / step);
  const first = Math.floor(end / step) * step - (minutes - 1) * step;
  const out = Array.from({ length: minutes }, (_, i) => ({ minute: first + i * step, s2xx: 0, s3xx: 0, s4xx: 0, s5xx: 0, denied: 0, requests: 0, refused: 0 }));
  for (const r of rollups) {
    const bar = out[Math.floor((r.minute - first) / step)];
    if (!bar) continue;
    for (const key of ["s2xx", "s3xx", "s5xx", "denied", "requests", "refused"]) bar[key] += r[key];
    bar.s4xx += Math.max(0, Math.min(r.s4xx, r.requests - r.s2xx - r.s3xx - r.s5xx - r.denied));
  }
  return out;
}

const total = (bar) => classes.reduce((n, c) => n + bar[c.key], 0);

/** nice rounds up to 1, 2 or 5 times a power of ten. */
function nice(n) {
  const size = 10 ** Math.floor(Math.log10(Math.max(n, 1)));
  return [1, 2, 5, 10].map((k) => k * size).find((k) => k >= n) || 1;
}

/** draw replaces the chart by the rollups of the seconds up to end (Unix seconds). */
export function draw(rollups, end, seconds = 3600, range = "hour") {
  bars = binned(rollups, end, seconds);
  words = range;
  // Drawn in the pixels there are, so that text keeps its shape.
  box.width = Math.max(280, byId("chart").clientWidth - 28);
  const top = nice(Math.max(...bars.map(total)));
  const width = (box.width - box.left) / minutes;
  const y = (n) => box.top + (box.height - box.top - box.bottom) * (1 - n / top);
  const parts = [];
  for (const n of [0, top / 2, top]) {
    parts.push(s("line", { class: "grid", x1: box.left, x2: box.width, y1: y(n), y2: y(n) }));
    parts.push(s("text", { x: box.left - 6, y: y(n) + 4, "text-anchor": "end" }, short(n)));
  }
  bars.forEach((bar, i) => {
    let at = 0;
    for (const c of classes) {
      const n = bar[c.key];
      if (!n) continue;
      // A few requests of a class must be seen, however tall the bar is.
      const height = Math.max(y(at) - y(at + n), 1.5);
      parts.push(s("rect", { class: c.mark, x: box.left + i * width + 0.75, width: width - 1.5, y: y(at) - height, height }));
      at += n;
    }
    if (i % Math.ceil(minutes / 4) === Math.ceil(minutes / 4) - 1 || i === 0) {
      const last = i === minutes - 1;
      parts.push(s("text", { x: last ? box.width : box.left + (i + (i ? 0.5 : 0)) * width, y: box.height - 2, "text-anchor": last ? "end" : i ? "middle" : "start" }, label(bar.minute)));
    }
  });
  const mark = s("rect", { class: "cursor", y: box.top, height: box.height - box.top - box.bottom, width, visibility: "hidden" });
  const svg = s("svg", { viewBox: `0 0 ${box.width} ${box.height}`, preserveAspectRatio: "none", role: "img", tabindex: "0", "aria-label": spoken() }, parts, mark);
  const focused = document.activeElement?.closest?.("#chart svg");
  byId("chart").replaceChildren(svg);
  listen(svg, mark, width);
  if (focused) svg.focus({ preventScroll: true });
  point(svg, mark, width, cursor);
  legend();
}

const label = (at) => (step * minutes > 90000 ? day(at) : minute(at));

function listen(svg, mark, width) {
  svg.addEventListener("pointermove", (e) => {
    const x = ((e.clientX - svg.getBoundingClientRect().left) / svg.clientWidth) * box.width - box.left;
    point(svg, mark, width, Math.floor(x / width));
  });
  svg.addEventListener("pointerleave", () => point(svg, mark, width, -1));
  svg.addEventListener("blur", () => point(svg, mark, width, -1));
  svg.addEventListener("keydown", (e) => {
    const to = { ArrowLeft: (cursor < 0 ? minutes : cursor) - 1, ArrowRight: cursor + 1, Home: 0, End: minutes - 1, Escape: -1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    point(svg, mark, width, to === -1 ? -1 : Math.min(minutes - 1, Math.max(0, to)));
  });
}

function point(svg, mark, width, i) {
  cursor = i >= 0 && i < minutes ? i : -1;
  mark.setAttribute("visibility", cursor < 0 ? "hidden" : "visible");
  if (cursor < 0) return text(byId("readout"), summary());
  mark.setAttribute("x", box.left + cursor * width);
  const bar = bars[cursor];
  const parts = classes.filter((c) => bar[c.key]).map((c) => num(bar[c.key]) + " " + c.name);
  text(byId("readout"), label(bar.minute) + " · " + num(total(bar)) + " requests" + (parts.length ? ": " + parts.join(", ") : "") + (bar.refused ? " · " + num(bar.refused) + " refused logins" : ""));
}

/** summary compares the last five whole bars with the rest. */
function summary() {
  const rest = bars.slice(0, -6).filter((b) => total(b) > 0);
  const last = bars.slice(-6, -1);
  const mean = (list, of) => list.reduce((n, b) => n + of(b), 0) / (list.length || 1);
  const denied = bars.reduce((n, b) => n + b.denied, 0);
  if (!rest.length && !last.some(total)) return "No requests in the last " + words + ".";
  const fresh = mean(last, total) * 60 / step;
  const usual = mean(rest, total) * 60 / step;
  const times = usual > 0 ? fresh / usual : 0;
  const change = times > 1.5 || (times > 0 && times < 0.67) ? `, ${times.toFixed(1)}× the rest` : "";
  return `${num(fresh)} requests a minute over the last ${num(step / 12)} minutes${change}. ${num(denied)} denied by us within the ${words}.`;
}

const spoken = () => "Requests by status class over the last " + words + ". " + summary() + " Arrow keys read single bars.";

function legend() {
  byId("legend").replaceChildren(...classes.map((c) => h("li", { class: c.mark }, c.name + " ", h("b", {}, short(bars.reduce((n, b) => n + b[c.key], 0))))));
}
