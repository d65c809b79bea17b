// What every page has: the state in one line, warnings, the live stream, who is logged in.
import { h, byId, text, plain, toast } from "./dom.js";
import { ago, left, setClock } from "./format.js";
import { get, stream } from "./api.js";

let status = null;
let connected = false;
let heard = 0; // when the last status came, on our clock
let page = {};

export const failed = (err) => toast(err.message);

/** current is the last status, null before the first. */
export const current = () => status;

const ranks = ["viewer", "operator", "admin"];
let role = "viewer";

/** may says whether the one who looks may do what needs a role. */
export const may = (least) => ranks.indexOf(role) >= ranks.indexOf(least);

function banners() {
  const list = [];
  if (!connected) list.push(["bad", "The live stream is interrupted; trying again. What you see may be old."]);
  if (status?.panic) list.push(["bad", "Panic switch: every decision is off the gateways until somebody resumes. " + plain(status.panic_why || "")]);
  if (status?.simulation) list.push(["info", "Simulation: decisions are made and shown, nothing is pushed to a gateway."]);
  for (const t of status?.trouble || []) list.push(["warn", plain(t)]);
  if (status && !status.simulation && !status.enforcing.length) list.push(["info", "Observing only: every block waits for your approval."]);
  const el = byId("banners");
  const key = JSON.stringify(list);
  if (el.dataset.shown === key) return; // a live region speaks only when it changes
  el.dataset.shown = key;
  el.replaceChildren(...list.map(([mark, words]) => h("p", { class: "banner " + mark }, words)));
}

/** alive shows whether we watch, in the corner and in the title of the window. */
export function alive() {
  const el = byId("alive");
  let [mark, words] = ["ok", "Watching"];
  if (!connected || !status || Date.now() - heard > 6000) [mark, words] = ["bad", "Disconnected"];
  else if (!status.ready) [mark, words] = ["bad", "Not ready"];
  else if (status.panic) [mark, words] = ["bad", "Panic"];
  else if (status.lag_seconds > 30) [mark, words] = ["warn", "Behind"];
  else if (status.trouble.length) [mark, words] = ["warn", "Watching, with trouble"];
  el.dataset.state = mark;
  text(el, words);
  const say = page.title?.() ?? "";
  document.title = say + document.body.dataset.title + " · Portcullis";
}

function headline() {
  if (!status) return;
  const own = page.headline?.();
  if (own) return text(byId("headline"), own);
  const parts = [];
  if (status.blocked) parts.push(status.blocked + " blocked");
  if (status.throttled) parts.push(status.throttled + " throttled");
  if (status.waiting) parts.push(status.waiting + " waiting for you");
  text(byId("headline"), parts.length ? parts.join(" · ") + "." : "All quiet: nobody is blocked, and nothing waits for you.");
}

/** say renews what the page says of itself. */
export function say() {
  headline();
  alive();
}

function take(next) {
  status = next;
  heard = Date.now();
  setClock(status.time);
  text(byId("version"), status.version);
  page.status?.(status);
  banners();
  say();
}

async function identify() {
  const me = await get("me");
  role = me.role;
  text(byId("me"), me.login ? plain(me.name) + " · " + me.role : "");
  byId("logout").hidden = !me.login || me.name === "anybody";
  byId("login").hidden = me.name !== "anybody";
  for (const el of document.querySelectorAll("[data-needs]")) el.hidden = !may(el.dataset.needs);
}

function clocks() {
  for (const el of document.querySelectorAll("[data-ago]")) text(el, ago(el.dataset.ago));
  for (const el of document.querySelectorAll("[data-left]")) text(el, left(el.dataset.left));
  alive();
}

/** start runs a page: load reads everything anew, and runs after each (re)connection;
 * status, finding, decision take what is new; headline and title say what counts. */
export function start(handlers) {
  page = handlers;
  const lists = () => Promise.resolve(page.load?.()).catch(failed);
  const known = identify().catch(failed);
  document.addEventListener("changed", lists);
  setInterval(clocks, 1000);
  setInterval(() => connected && !page.calm && lists(), 120000);
  stream({
    async open() {
      connected = true;
      await known;
      lists();
      banners();
    },
    lost() {
      connected = false;
      banners();
      alive();
      get("status").catch(() => {}); // sends to the login form when that is the cause
    },
    status: take,
    finding: (x) => page.finding?.(x),
    decision: (x) => page.decision?.(x),
    backtest: (x) => page.backtest?.(x),
    resync: lists,
    trouble: (t) => toast(plain(t.detail)),
  });
}

/** filters keeps a form and the address in step: the address holds the filter, so that it
 * can be sent to somebody, and "back" undoes it. */
export function filters(form, changed) {
  const names = [...new Set([...form.elements].map((e) => e.name).filter(Boolean))];
  const read = () => {
    const given = new URLSearchParams(location.search);
    for (const name of names) form.elements[name].value = given.get(name) || "";
  };
  const write = () => {
    const p = new URLSearchParams();
    for (const name of names) {
      const v = form.elements[name].value.trim();
      if (v) p.set(name, v);
    }
    history.pushState(null, "", location.pathname + (p.size ? "?" + p : ""));
    changed();
  };
  read();
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    write();
  });
  form.addEventListener("change", (e) => e.target.tagName === "SELECT" && write());
  window.addEventListener("popstate", () => {
    read();
    changed();
  });
  return () => Object.fromEntries(names.map((n) => [n, form.elements[n].value.trim()]).filter(([, v]) => v));
}

/** subjectLink leads to the page of a subject. */
export const subjectLink = (subject) => "/subject?subject=" + encodeURIComponent(subject.kind + ":" + subject.value);
