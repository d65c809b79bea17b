// The list of decisions: what is done to whom, whether it holds, and what a
// person may do about it. What needs a person comes first.
import { h, put, byId, text, raw, plain, keyed, toast } from "./dom.js";
import { ago, left, when, plural, lag } from "./format.js";
import { get, write, params } from "./api.js";
import { ask } from "./ask.js";

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
const current = (d) => d.live || d.state === "proposed";

let rows = new Map();
let next = "";
let changed = () => {};

/** start wires the list; onChange is called after rows changed. */
export function start(onChange) {
  changed = onChange;
  for (const radio of document.getElementsByName("which")) radio.addEventListener("change", () => load());
  byId("decisions-more").addEventListener("click", () => load(next));
}

const showEnded = () => document.querySelector('input[name="which"]:checked').value === "ended";

/** load reads what is current, and with it or on demand what has ended. */
export async function load(cursor) {
  const ended = showEnded();
  const asks = cursor || ended ? [get("decisions?" + params({ limit: page, cursor }))] : [];
  if (!cursor) asks.push(get("decisions?live=true&limit=500"), get("decisions?state=proposed&limit=500"));
  const answers = await Promise.all(asks);
  if (!cursor) rows = new Map();
  for (const a of answers) for (const d of a.decisions) rows.set(d.id, d);
  if (asks.length && (cursor || ended)) next = answers[0].next || "";
  render();
}

/** put takes in one decision of the live stream. */
export function take(d) {
  rows.set(d.id, d);
  render();
}

/** all gives the decisions that are live or wait. */
export const standing = () => [...rows.values()].filter(current);

function render() {
  const ended = showEnded();
  const list = [...rows.values()].filter((d) => current(d) !== ended).sort((a, b) =>
    rank(a) - rank(b) || (a.created < b.created ? 1 : -1));
  keyed(byId("decisions"), list, (d) => d.id, () => h("li", { class: "decision" }), update,
    ended ? "Nothing has ended yet." : "Nobody is blocked, and nothing waits for you.");
  text(byId("decisions-count"), list.length ? String(list.length) : "");
  byId("decisions-more").hidden = !(ended && next);
  changed();
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
      h("span", { class: "who" }, d.subject.kind === "ip" || d.subject.kind === "cidr" ? "" : d.subject.kind + " ", raw(d.subject.value)),
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
    open(d) && button("approve", "Approve", "primary"),
    current(d) && button("release", d.state === "proposed" ? "Dismiss" : "Release"),
    d.live && button("extend", "Extend"),
    current(d) && button("allow", "Allow"),
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

/** waiting counts the decisions that a person is asked about. */
export const waiting = () => standing().filter(waits).length;

/** headline is the state of affairs in one sentence. */
export function headline() {
  const list = standing();
  const holds = list.filter((d) => d.state === "verified").length;
  const broken = list.filter((d) => d.state === "not_enforced").length;
  const moving = list.filter((d) => d.state === "approved" || d.state === "pushed").length;
  const parts = [];
  if (broken) parts.push(plural(broken, "block does", "blocks do") + " not hold");
  if (waiting()) parts.push(plural(waiting(), "decision waits", "decisions wait") + " for you");
  if (holds) parts.push(plural(holds, "subject") + " seen to be stopped");
  if (moving) parts.push(plural(moving, "decision") + " on the way");
  const would = list.filter((d) => d.state === "proposed" && (d.code === "observe" || d.code === "simulate")).length;
  if (would) parts.push(plural(would, "subject") + " observed, not acted on");
  if (!parts.length) return "All quiet: nobody is blocked, and nothing waits for you.";
  return parts.join(" · ") + ".";
}
