// The page: reads the lists once the live stream is open, then keeps up with it.
import { h, byId, text, plain, toast } from "./dom.js";
import { short, num, lag, bytes, ago, left, now, setClock } from "./format.js";
import { get, stream } from "./api.js";
import { ask } from "./ask.js";
import { draw } from "./chart.js";
import * as findings from "./findings.js";
import * as decisions from "./decisions.js";
import * as sources from "./sources.js";

let status = null;
let rollups = [];
let connected = false;
let heard = 0; // when the last status came, on our clock

const failed = (err) => toast(err.message);

function number(name, value, mark = "", title = "") {
  return h("div", { class: mark, title }, h("dt", {}, name), h("dd", {}, value));
}

function strip() {
  const slow = status.lag_seconds > 30 ? "bad" : status.lag_seconds > 5 ? "warn" : "";
  byId("numbers").replaceChildren(
    number("lines a second", short(status.lines_per_second)),
    number("behind the log", lag(status.lag_seconds), slow, bytes(status.lag_bytes) + " unread"),
    number("blocked now", num(status.blocked)),
    number("throttled now", num(status.throttled)),
    number("waiting for you", num(decisions.waiting()), decisions.waiting() ? "warn" : ""),
    number("families enforced", status.simulation ? "none" : status.enforcing.length + " of " + (status.enforcing.length + status.observing.length), status.simulation || !status.enforcing.length ? "warn" : "", "Observed only: " + (status.observing.join(", ") || "none")),
    number("clients tracked", short(status.tracked), "", num(status.tracked)),
  );
}

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

function alive() {
  const el = byId("alive");
  let [mark, words] = ["ok", "Watching"];
  if (!connected || !status || Date.now() - heard > 6000) [mark, words] = ["bad", "Disconnected"];
  else if (!status.ready) [mark, words] = ["bad", "Not ready"];
  else if (status.panic) [mark, words] = ["bad", "Panic"];
  else if (status.lag_seconds > 30) [mark, words] = ["warn", "Behind"];
  else if (status.trouble.length) [mark, words] = ["warn", "Watching, with trouble"];
  el.dataset.state = mark;
  text(el, words);
  document.title = (decisions.standing().some((d) => d.state === "not_enforced") ? "✗ " : "") + (decisions.waiting() ? "(" + decisions.waiting() + ") " : "") + "Portcullis";
}

function headline() {
  if (status) text(byId("headline"), decisions.headline());
}

function take(next) {
  status = next;
  heard = Date.now();
  setClock(status.time);
  strip();
  sources.sources(status.sources, status.blind);
  sources.gateways(status.gateways);
  sources.modes(status);
  text(byId("version"), status.version);
  byId("logout").hidden = !status.login;
  banners();
  headline();
  alive();
}

const end = () => Math.floor(now() / 1000);

async function traffic() {
  rollups = (await get("traffic?since=1h")).rollups;
  draw(rollups, end());
}

/** lists reads everything anew. */
function lists() {
  return Promise.all([findings.load(), decisions.load(), sources.loadAllowed(), traffic()]).catch(failed);
}

function clocks() {
  for (const el of document.querySelectorAll("[data-ago]")) text(el, ago(el.dataset.ago));
  for (const el of document.querySelectorAll("[data-left]")) text(el, left(el.dataset.left));
  alive();
}

const allowSubject = (subject) =>
  ask({ title: "Never act on " + plain(subject.value), ok: "Allow", text: "What is live against it is released, and nothing is decided against it while the entry stands.", spans: "open" },
    (given) => decisions.allow(subject, given));

findings.start(allowSubject);
decisions.start(() => {
  headline();
  alive();
  if (status) strip();
});
sources.start();
document.addEventListener("changed", () => Promise.all([decisions.load(), sources.loadAllowed()]).catch(failed));
new ResizeObserver(() => draw(rollups, end())).observe(byId("chart"));
setInterval(clocks, 1000);
setInterval(() => traffic().catch(failed), 15000);
setInterval(() => connected && lists(), 120000);

stream({
  open() {
    connected = true;
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
  finding: findings.take,
  decision: decisions.take,
  resync: lists,
  trouble(t) {
    toast(plain(t.detail));
  },
});
