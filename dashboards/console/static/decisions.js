// Decisions as rows: what is done to whom, whether it holds, and what a person may do
// about it. What needs a person comes first.
import { h, put, byId, text, raw, plain, keyed, toast } from "./dom.js";
import { ago, left, when, plural, lag } from "./format.js";
import { get, write, params } from "./api.js";
import { ask } from "./ask.js";
import { may, subjectLink } from "./shell.js";

const state = {
  verified: { name: "✓ Verified", mark: "ok", rank: 3 },
  not_enforced: { name: "✗ Does not hold", mark: "bad solid", rank: 0 },
  proposed: { name: "Waits for approval", mark: "warn", rank: 1 },
  approved: { name: "Being pushed", mark: "info", rank: 2 },
  pushed: { name: "Pushed, not yet seen to hold", mark: "info", rank: 2 },
  expired: { name: "Expired", mark: "", rank: 4 },
  released: { name: "Released", mark: "", rank: 4 },
};
// A proposal that no person is asked about, by its code.
const held = {
  observe: "Observed only", simulate: "Simulated", allowed: "Withheld: allowed", trusted: "Withheld: trusted hop",
  private: "Withheld: private range", wide: "Withheld: too wide", unsupported: "Withheld: no gateway can",
};
const waits = (d) => d.state === "proposed" && !held[d.code];
const open = (d) => waits(d) || (d.state === "proposed" && (d.code === "observe" || d.code === "simulate"));
const rank = (d) => (d.state === "proposed" && !waits(d) ? 3.5 : state[d.state].rank);

const does = { block: "Block", throttle: "Throttle", challenge: "Challenge", revoke: "Revoke" };
const page = 100;
const most = 1000; // rows kept in the page
const current = (d) => d.live || d.state === "proposed";
const byNeed = (a, b) => rank(a) - rank(b) || (a.created < b.created ? 1 : -1);
const newestFirst = (a, b) => (a.created < b.created ? 1 : a.created > b.created ? -1 : a.id < b.id ? -1 : 1);

/** standing keeps the list of what is in force or waits. o: el, count, changed, keep. */
export function standing(o) {
  let rows = new Map();
  const keep = o.keep || current;
  const all = () => [...rows.values()].filter(keep);
  const render = () => {
    const list = all().sort(byNeed);
    keyed(o.el, list, (d) => d.id, () => h("li", { class: "decision" }), update, o.empty || "Nobody is blocked, and nothing waits for you.");
    if (o.count) text(o.count, list.length ? String(list.length) : "");
    o.changed?.(all());
  };
  return {
    async load() {
      const answers = await Promise.all([get("decisions?live=true&limit=500"), get("decisions?state=proposed&limit=500")]);
      rows = new Map(answers.flatMap((a) => a.decisions).map((d) => [d.id, d]));
      render();
    },
    take(d) {
      rows.set(d.id, d);
      render();
    },
    all,
  };
}

/** list keeps pages of decisions, the newest first. o: el, count, more, filter(), empty. */
export function list(o) {
  let rows = new Map();
  let next = "";
  const render = () => {
    let all = [...rows.values()].sort(newestFirst);
    for (const d of all.slice(most)) rows.delete(d.id);
    all = all.slice(0, most);
    keyed(o.el, all, (d) => d.id, () => h("li", { class: "decision" }), update, o.empty || "Nothing matches.");
    if (o.count) text(o.count, all.length ? String(all.length) + (next ? "+" : "") : "");
    if (o.more) o.more.hidden = !next;
  };
  const load = async (cursor) => {
    const data = await get("decisions?" + params({ limit: page, cursor, ...o.filter() }));
    if (!cursor) rows = new Map();
    for (const d of data.decisions) rows.set(d.id, d);
    next = data.next || "";
    render();
  };
  o.more?.addEventListener("click", () => load(next));
  return {
    load,
    take(d) {
      if (!rows.has(d.id) && Object.keys(o.filter()).length) return; // whether it belongs here, the next look says
      rows.set(d.id, d);
      render();
    },
  };
}

/** show fills a list with decisions that are at hand. */
export function show(el, rows, empty) {
  keyed(el, rows, (d) => d.id, () => h("li", { class: "decision" }), update, empty);
}

function update(li, d) {
  if (li.decision && JSON.stringify(li.decision) === JSON.stringify(d)) return;
  const unfolded = li.querySelector(".history");
  const focus = li.contains(document.activeElement) ? document.activeElement.dataset.verb : "";
  li.decision = d;
  const st = d.state === "proposed" && held[d.code] ? { name: held[d.code], mark: "" } : state[d.state] || { name: d.state, mark: "" };
  const what = does[d.action] + (d.action === "throttle" && d.rate ? " to " + +d.rate.toPrecision(3) + "/s" : "");
  put(li,
    h("div", { class: "line" },
      h("span", { class: "tag " + st.mark }, st.name),
      h("span", {}, what),
      h("span", { class: "who" }, d.subject.kind === "ip" || d.subject.kind === "cidr" ? "" : d.subject.kind + " ", h("a", { href: subjectLink(d.subject) }, raw(d.subject.value))),
      d.route && h("span", { class: "quiet" }, "on ", raw(d.route))),
    current(d)
      ? h("time", { class: "left", datetime: d.expires, title: "Expires " + when(d.expires), "data-left": d.expires }, left(d.expires))
      : h("time", { class: "left", datetime: d.created, title: when(d.created), "data-ago": d.created }, ago(d.created)),
    d.reason && h("p", { class: "reason" + (d.state === "not_enforced" ? "" : " calm") }, plain(d.reason)),
    d.why && h("p", { class: "why" }, plain(d.why)),
    foot(li, d),
  );
  if (unfolded) history(li, d.id);
  if (focus) li.querySelector(`[data-verb="${focus}"]`)?.focus();
}

function foot(li, d) {
  const notes = [];
  if (d.collateral) notes.push(plain(d.collateral));
  if (d.offence > 1) notes.push("offence " + d.offence);
  if (d.trigger && d.pushed_at) notes.push("pushed after " + lag((Date.parse(d.pushed_at) - Date.parse(d.trigger)) / 1000));
  const button = (verb, name, mark = "") =>
    h("button", { class: "small " + mark, type: "button", "data-verb": verb, "aria-label": name + ": " + plain(d.subject.value), onclick: () => act(d, verb) }, name);
  return h("div", { class: "foot" },
    h("span", { class: "notes quiet" }, notes.join(" · ")),
    may("operator") && open(d) && button("approve", "Approve", "primary"),
    may("operator") && current(d) && button("release", d.state === "proposed" ? "Dismiss" : "Release"),
    may("operator") && d.live && button("extend", "Extend"),
    may("operator") && current(d) && button("allow", "Allow"),
    h("button", { class: "small", type: "button", "data-verb": "history", "aria-label": "History: " + plain(d.subject.value), "aria-expanded": li.querySelector(".history") ? "true" : "false", onclick: (e) => toggle(li, d.id, e.currentTarget) }, "History"));
}

function toggle(li, id, button) {
  const unfolded = li.querySelector(".history");
  button.setAttribute("aria-expanded", unfolded ? "false" : "true");
  if (unfolded) unfolded.remove();
  else history(li, id);
}

/** history shows every change of a decision: when, who, what, why. */
async function history(li, id) {
  try {
    const d = await get("decisions/" + encodeURIComponent(id));
    li.querySelector(".history")?.remove();
    li.append(h("ul", { class: "history" }, ...d.history.map((c) =>
      h("li", {}, h("time", { class: "quiet", datetime: c.at }, when(c.at)), " ", h("b", {}, c.to), " by " + plain(c.who), c.why && ": " + plain(c.why)))));
  } catch (err) {
    toast(err.message);
  }
}

/** words are what the dialog says before each verb. */
function words(d, verb) {
  const who = plain(d.subject.value);
  switch (verb) {
    case "approve":
      return { title: "Approve: " + does[d.action].toLowerCase() + " " + who, ok: "Approve", text: "It is pushed to the gateways at once and watched until it is seen to hold. " + plain(d.collateral || "") };
    case "release":
      if (d.state === "proposed") return { title: "Dismiss the proposal for " + who, ok: "Dismiss", text: "Nothing is pushed. A new offence may propose it again." };
      return { title: "Release " + who, ok: "Release", text: "The gateways let it through again within a second. A new offence may block it again; Allow prevents that." };
    case "extend":
      return { title: "Extend: " + who, ok: "Extend", text: "Now: " + left(d.expires) + ". The time is added to that.", spans: "closed" };
  }
  return { title: "Never act on " + who, ok: "Allow", text: "What is live against it is released, and nothing is decided against it while the entry stands.", spans: "open" };
}

function act(d, verb) {
  ask(words(d, verb), async (given) => {
    if (verb === "allow") return allow(d.subject, given);
    const body = verb === "extend" ? { why: given.why, for: given.for } : { why: given.why };
    done(await write("POST", "decisions/" + encodeURIComponent(d.id) + "/" + verb, body), does[d.action] + " of " + plain(d.subject.value));
  });
}

/** allow posts an allow entry for a subject. */
export async function allow(subject, given) {
  const value = subject.kind === "ip" || subject.kind === "cidr" ? subject.value : subject.kind + ":" + subject.value;
  const body = given.for ? { value, why: given.why, for: given.for } : { value, why: given.why };
  done(await write("POST", "allow", body), plain(value));
}

/** done says how a command ended. */
export function done(command, what) {
  toast(command.done ? what + ": " + plain(command.result || "done") : what + ": posted; the enforcer has not answered yet");
  document.dispatchEvent(new CustomEvent("changed"));
}

/** allowSubject asks, and puts a subject on the allow list. */
export const allowSubject = (subject) =>
  ask({ title: "Never act on " + plain(subject.value), ok: "Allow", text: "What is live against it is released, and nothing is decided against it while the entry stands.", spans: "open" },
    (given) => allow(subject, given));

/** counts sorts standing decisions by what they need. */
export function counts(list) {
  return {
    broken: list.filter((d) => d.state === "not_enforced").length,
    waiting: list.filter(waits).length,
    holds: list.filter((d) => d.state === "verified").length,
    moving: list.filter((d) => d.state === "approved" || d.state === "pushed").length,
    would: list.filter((d) => d.state === "proposed" && (d.code === "observe" || d.code === "simulate")).length,
  };
}

/** headline is the state of affairs in one sentence. */
export function headline(list) {
  const n = counts(list);
  const parts = [];
  if (n.broken) parts.push(plural(n.broken, "block does", "blocks do") + " not hold");
  if (n.waiting) parts.push(plural(n.waiting, "decision waits", "decisions wait") + " for you");
  if (n.holds) parts.push(plural(n.holds, "subject") + " seen to be stopped");
  if (n.moving) parts.push(plural(n.moving, "decision") + " on the way");
  if (n.would) parts.push(plural(n.would, "subject") + " observed, not acted on");
  if (!parts.length) return "All quiet: nobody is blocked, and nothing waits for you.";
  return parts.join(" · ") + ".";
}
