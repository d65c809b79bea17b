// The list of findings: what was seen, of whom, with the evidence and the why.
import { h, put, byId, text, raw, plain, keyed } from "./dom.js";
import { num, short, ago, when, plural } from "./format.js";
import { get, params } from "./api.js";

const kinds = { critical: "bad solid", high: "bad", medium: "warn", low: "info", info: "" };
const page = 50;
const most = 500; // rows kept in the page

let rows = new Map();
let next = "";
let onAllow = () => {};

/** start wires the filter; allow is called with a subject. */
export function start(allow) {
  onAllow = allow;
  const filter = byId("filter");
  filter.addEventListener("submit", (e) => e.preventDefault());
  filter.addEventListener("change", (e) => e.target.name !== "text" && load());
  filter.elements.text.addEventListener("input", render);
  byId("findings-more").addEventListener("click", () => load(next));
}

/** load reads a page; without a cursor it starts again. */
export async function load(cursor) {
  const f = byId("filter").elements;
  const data = await get("findings?" + params({ limit: page, cursor, severity: f.severity.value, family: f.family.value }));
  if (!cursor) rows = new Map();
  for (const x of data.findings) rows.set(x.id, x);
  next = data.next || "";
  render();
}

const order = ["info", "low", "medium", "high", "critical"];

/** put takes in one finding of the live stream. */
export function take(x) {
  const f = byId("filter").elements;
  if (f.family.value && f.family.value !== x.family) return;
  if (f.severity.value && order.indexOf(x.severity) < order.indexOf(f.severity.value)) return;
  rows.set(x.id, x);
  render();
}

const newestFirst = (a, b) => (a.fired_at < b.fired_at ? 1 : a.fired_at > b.fired_at ? -1 : a.id < b.id ? -1 : 1);

function render() {
  let list = [...rows.values()].sort(newestFirst);
  for (const x of list.slice(most)) rows.delete(x.id);
  list = list.slice(0, most);
  const want = byId("filter").elements.text.value.trim().toLowerCase();
  if (want) list = list.filter((x) => (x.rule + " " + x.subject.kind + ":" + x.subject.value + " " + (x.route || "")).toLowerCase().includes(want));
  keyed(byId("findings"), list, (x) => x.id, make, update, want || rows.size ? "Nothing matches the filter." : "Nothing found yet. Findings appear here as they fire.");
  text(byId("findings-count"), list.length ? String(list.length) + (next ? "+" : "") : "");
  byId("findings-more").hidden = !next;
}

function make(x) {
  const el = h("details", { class: "finding" }, h("summary", {}), h("div", { class: "body" }));
  el.addEventListener("toggle", () => el.open && body(el, el.parentElement.finding));
  return h("li", {}, el);
}

function update(li, x) {
  if (li.finding && JSON.stringify(li.finding) === JSON.stringify(x)) return;
  li.finding = x;
  const el = li.firstElementChild;
  put(el.firstElementChild,
    h("span", {}, h("span", { class: "tag " + kinds[x.severity] }, x.severity)),
    h("span", { class: "what", title: plain(x.subject.kind + " " + x.subject.value) }, x.rule + " ", raw(x.subject.value, { class: "quiet" })),
    h("span", { class: "where", title: plain(x.route || "") }, x.route ? raw(x.route) : x.family),
    h("span", { class: "n" }, short(x.count) + "×"),
    h("time", { datetime: x.fired_at, title: when(x.fired_at), "data-ago": x.fired_at }, ago(x.fired_at)),
  );
  if (el.open) body(el, x);
}

const fact = (name, value) => h("span", {}, name + " ", h("b", {}, value));

/** standing says who else would be hit by acting on the subject. */
function standing(x) {
  const st = x.standing;
  if (!st.successes && !st.people) return "nobody else known: no successful request in 24 h";
  return plural(st.successes, "successful request") + " in 24 h, " + (st.people > 1 ? "about " + num(st.people) + " people" : "one person at most") + (st.since ? ", known for " + ago(st.since) : "");
}

function body(el, x) {
  const lines = x.evidence.map((e) =>
    h("li", {},
      e.note && h("p", { class: "note" }, "Matched: ", raw(e.note)),
      raw(e.line),
      h("p", { class: "pos" }, [plain(e.source), "byte " + num(e.offset), e.time ? when(e.time) : ""].filter(Boolean).join(" · "))));
  put(el.lastElementChild,
    h("p", { class: "why" }, plain(x.why)),
    h("p", { class: "facts" },
      fact("Stands behind it", standing(x)),
      fact("Confidence", Math.round(x.confidence * 100) + " %"),
      fact("Seen", when(x.first_seen) + " to " + when(x.last_seen)),
      fact("Subject", x.subject.kind + " " + plain(x.subject.value)),
      fact("Rule", x.rule + " v" + x.version)),
    h("div", { class: "tags", role: "list", "aria-label": "Classification" }, ...x.tags.map((t) => h("span", { class: "tag", role: "listitem" }, tagName(t)))),
    h("ul", { class: "evidence", "aria-label": "Evidence" }, ...lines),
    h("div", {}, h("button", { class: "small", type: "button", onclick: () => onAllow(x.subject) }, "Never act on this subject…")),
  );
}

/** tagName writes a tag as the field does: OWASP API2:2023, ATT&CK T1110.001. */
function tagName(tag) {
  const [space, ...rest] = tag.split(":");
  const known = { owasp: "OWASP ", attack: "ATT&CK ", oat: "OAT-" }[space];
  return known ? known + rest.join(":").toUpperCase() : tag;
}
