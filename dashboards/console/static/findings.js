// Findings as rows: what was seen, of whom, with the evidence and the why.
import { h, put, text, raw, plain, keyed } from "./dom.js";
import { num, short, ago, when, plural } from "./format.js";
import { get, params } from "./api.js";
import { marked } from "./mark.js";
import { may, subjectLink } from "./shell.js";
import { allowSubject } from "./decisions.js";

const kinds = { critical: "bad solid", high: "bad", medium: "warn", low: "info", info: "" };
const page = 50;
const most = 500; // rows kept in the page

const order = ["info", "low", "medium", "high", "critical"];
const newestFirst = (a, b) => (a.fired_at < b.fired_at ? 1 : a.fired_at > b.fired_at ? -1 : a.id < b.id ? -1 : 1);

/** fits says whether a finding that just came belongs to what a filter asks for. */
export function fits(x, f) {
  return (!f.family || f.family === x.family) && (!f.rule || f.rule === x.rule) && (!f.kind || f.kind === x.subject.kind) &&
    (!f.severity || order.indexOf(x.severity) >= order.indexOf(f.severity)) &&
    (!f.subject || f.subject === x.subject.kind + ":" + x.subject.value);
}

/** list keeps a list of findings. o: el, count, more (elements), filter() (what the API is
 * asked for), limit, empty (words), make (of a row's summary). */
export function list(o) {
  let rows = new Map();
  let next = "";
  const render = () => {
    let all = [...rows.values()].sort(newestFirst);
    for (const x of all.slice(most)) rows.delete(x.id);
    all = all.slice(0, most);
    keyed(o.el, all, (x) => x.id, make, update, o.empty);
    if (o.count) text(o.count, all.length ? String(all.length) + (next ? "+" : "") : "");
    if (o.more) o.more.hidden = !next;
    o.drawn?.(all);
  };
  const load = async (cursor) => {
    const data = await get("findings?" + params({ limit: o.limit || page, cursor, ...o.filter() }));
    if (!cursor) rows = new Map();
    for (const x of data.findings) rows.set(x.id, x);
    next = data.next || "";
    render();
  };
  o.more?.addEventListener("click", () => load(next));
  return {
    load,
    take(x) {
      if (!fits(x, o.filter())) return;
      rows.set(x.id, x);
      render();
    },
  };
}

/** show fills a list with findings that are at hand. */
export function show(el, rows, empty) {
  keyed(el, rows, (x) => x.id, make, update, empty);
}

function make() {
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
    h("span", { class: "where", title: plain(x.route || "") }, x.members ? plural(x.members.length, "member") : x.route ? raw(x.route) : x.family),
    h("span", { class: "n" }, short(x.count) + "×"),
    h("time", { datetime: x.fired_at, title: when(x.fired_at), "data-ago": x.fired_at }, ago(x.fired_at)),
  );
  if (el.open) body(el, x);
}

const fact = (name, ...value) => h("span", {}, name + " ", h("b", {}, ...value));

/** standing says who else would be hit by acting on the subject. */
export function standing(st) {
  if (!st.successes && !st.people) return "nobody else known: no successful request in 24 h";
  return plural(st.successes, "successful request") + " in 24 h, " + (st.people > 1 ? "about " + num(st.people) + " people" : "one person at most") + (st.since ? ", known for " + ago(st.since) : "");
}

/** evidence is one line with what was matched in it. */
export const evidence = (e, ...more) =>
  h("li", {},
    e.note && h("p", { class: "note" }, "Matched: ", raw(e.note)),
    marked(e.line, e.note),
    h("p", { class: "pos" }, [plain(e.source), "byte " + num(e.offset), e.time ? when(e.time) : ""].filter(Boolean).join(" · "), ...more));

/** tags are the classifications of a rule. */
export const tags = (names) => h("div", { class: "tags", role: "list", "aria-label": "Classification" }, ...names.map((t) => h("span", { class: "tag", role: "listitem" }, tagName(t))));

const membersShown = 50;

function members(x) {
  if (!x.members) return "";
  return h("details", {}, h("summary", {}, plural(x.members.length, "member") + ", the surest first"),
    h("ul", { class: "members" }, ...x.members.slice(0, membersShown).map((m) => h("li", {}, h("a", { href: subjectLink(m) }, raw(m.value)), " " + Math.round(m.score * 100) + " %, " + num(m.count) + "×"))),
    x.members.length > membersShown && h("p", { class: "quiet" }, "and " + num(x.members.length - membersShown) + " more: portcullis findings " + x.id));
}

function body(el, x) {
  const past = h("p", { class: "facts" });
  put(el.lastElementChild,
    h("p", { class: "why" }, plain(x.why)),
    h("p", { class: "facts" },
      fact("Stands behind it", standing(x.standing)),
      fact("Confidence", Math.round(x.confidence * 100) + " %"),
      fact("Seen", when(x.first_seen) + " to " + when(x.last_seen)),
      fact("Subject", h("a", { href: subjectLink(x.subject) }, x.subject.kind + " " + plain(x.subject.value))),
      fact("Rule", h("a", { href: "/rules#" + encodeURIComponent(x.rule) }, x.rule + " v" + x.version))),
    past,
    tags(x.tags),
    members(x),
    x.evidence.length > 0 && h("ul", { class: "evidence", "aria-label": "Evidence" }, ...x.evidence.map((e) => evidence(e))),
    h("div", { class: "foot" },
      h("a", { class: "button small", href: subjectLink(x.subject) }, "All about this subject"),
      may("operator") && x.subject.kind !== "campaign" && x.subject.kind !== "global" && h("button", { class: "small", type: "button", onclick: () => allowSubject(x.subject) }, "Never act on this subject…")),
  );
  history(x.rule).then((words) => text(past, words), () => {});
}

let rules = null; // asked for once, when the first finding is unfolded

/** ruleBook gives what is known of the rules. */
export function ruleBook() {
  rules ||= get("rules").then((r) => new Map(r.rules.map((x) => [x.rule, x])));
  rules.catch(() => { rules = null; });
  return rules;
}

/** history says how a rule did in the last 30 days, and how often people regretted it. */
async function history(rule) {
  const r = (await ruleBook()).get(rule);
  return r ? "This rule, in 30 days: " + judged(r) : "";
}

/** judged is what a rule found and what became of it. */
export function judged(r) {
  return plural(r.findings, "finding") + ", " + plural(r.decisions, "decision") + ", " +
    (r.regretted ? num(r.regretted) + " taken back by a person" : "none taken back by a person") +
    (r.precision === undefined ? "." : "; " + Math.round(r.precision * 100) + " % of those judged were left standing.");
}

/** tagName writes a tag as the field does: OWASP API2:2023, ATT&CK T1110.001. */
export function tagName(tag) {
  const [space, ...rest] = tag.split(":");
  const known = { owasp: "OWASP ", attack: "ATT&CK ", oat: "OAT-" }[space];
  return known ? known + rest.join(":").toUpperCase() : tag;
}
