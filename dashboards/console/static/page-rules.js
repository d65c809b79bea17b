// Rules: which are on and act, what they found, and what people took back.
import { h, put, byId, text, plain, keyed } from "./dom.js";
import { num, short, ago, when } from "./format.js";
import { get } from "./api.js";
import { start, filters, failed } from "./shell.js";
import { judged, tags } from "./findings.js";

const modes = { enforce: ["Enforced", "ok"], observe: ["Observed", "info"], simulate: ["Simulated", "warn"], advice: ["Advice", ""], off: ["Off", ""] };
let rules = [];

const filter = filters(byId("filter"), () => render());

async function load() {
  ({ rules } = await get("rules"));
  render();
  const wanted = decodeURIComponent(location.hash.slice(1));
  const el = wanted && document.querySelector(`[data-key="${CSS.escape(wanted)}"] details`);
  if (el && !el.dataset.shown) {
    el.open = true;
    el.dataset.shown = "yes";
    el.scrollIntoView({ block: "start" });
    el.firstElementChild.focus();
  }
}

function render() {
  const f = filter();
  const list = rules.filter((r) => (!f.family || r.family === f.family) && (!f.mode || r.mode === f.mode));
  const all = rules.reduce((n, r) => n + (r.cost_ns || 0), 0);
  text(byId("cost"), all ? "All together take " + cost(all) + " of a line." : "");
  if (f.sort === "cost") list.sort((a, b) => (b.cost_ns || 0) - (a.cost_ns || 0));
  keyed(byId("rules"), list, (r) => r.rule, () => h("li", { class: "rule" }, h("details", { class: "finding" }, h("summary", {}), h("div", { class: "body" }))), update, "No rule matches the filter.");
  text(byId("rules-count"), String(list.length));
}

/** cost is a time per line. */
const cost = (ns) => (ns >= 1000 ? +(ns / 1000).toFixed(1) + " µs" : ns >= 10 ? Math.round(ns) + " ns" : +ns.toFixed(1) + " ns");

const fact = (name, value) => value && h("div", {}, h("dt", {}, name), h("dd", {}, value));

function update(li, r) {
  const el = li.firstElementChild;
  const [mode, mark] = modes[r.mode] || [r.mode, ""];
  put(el.firstElementChild,
    h("span", {}, h("span", { class: "tag " + mark }, mode)),
    h("span", { class: "what" }, r.rule),
    h("span", { class: "where" }, r.precision === undefined ? r.family : Math.round(r.precision * 100) + " % precise"),
    h("span", { class: "cost", title: "What it takes of a line" }, r.cost_ns === undefined ? "" : cost(r.cost_ns)),
    h("span", { class: "n", title: num(r.findings) + " findings" }, short(r.findings) + "×"),
    r.newest ? h("time", { datetime: r.newest, title: when(r.newest), "data-ago": r.newest }, ago(r.newest)) : h("span", { class: "when quiet" }, "never"));
  put(el.lastElementChild,
    h("p", { class: "why" }, plain(r.flags)),
    h("p", { class: "facts" }, "In 30 days: " + judged(r) + (r.standing ? " " + num(r.standing) + " in force now." : "")),
    tags(r.tags),
    h("dl", { class: "grid" },
      fact("Judges", r.by), fact("Family", r.family + ", version " + r.version), fact("Needs", r.needs), fact("Takes of a line", r.cost_ns === undefined ? "not measured here" : cost(r.cost_ns)), fact("Keeps", r.state), fact("Stays invisible", r.evasion)),
    h("div", { class: "foot" }, h("a", { class: "button small", href: "/findings?rule=" + encodeURIComponent(r.rule) }, "Its findings")));
}

start({ load: () => load().catch(failed) });
