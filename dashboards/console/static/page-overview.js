// Overview: what happens now, and what needs a person.
import { h, put, byId, text } from "./dom.js";
import { short, num, lag, bytes, now } from "./format.js";
import { get, params } from "./api.js";
import { draw } from "./chart.js";
import { meter } from "./bars.js";
import { start, failed, current, say } from "./shell.js";
import * as findings from "./findings.js";
import * as decisions from "./decisions.js";
import * as sources from "./sources.js";

const ranges = { "1h": [3600, "hour"], "6h": [21600, "6 hours"], "24h": [86400, "day"], "168h": [604800, "week"], "720h": [2592000, "30 days"] };
const families = [["credential", "Credential abuse"], ["rate", "Rate spikes"], ["injection", "Injection"], ["recon", "Reconnaissance"], ["api", "API abuse"]];
const severities = ["critical", "high", "medium", "low", "info"];
const states = [["proposed", "proposed"], ["approved", "approved"], ["pushed", "pushed"], ["verified", "verified"], ["not_enforced", "not holding"], ["expired", "expired"], ["released", "released"]];

const form = byId("range");
const asked = new URLSearchParams(location.search).get("since");
if (ranges[asked]) form.elements.since.value = asked;
const range = () => ranges[form.elements.since.value];
const live = () => form.elements.live.checked;

let rollups = [];
const end = () => Math.floor(now() / 1000);

async function traffic() {
  const seconds = range()[0];
  rollups = (await get("traffic?" + params({ since: form.elements.since.value, step: seconds > 21600 ? Math.ceil(seconds / 5760) : "" }))).rollups;
  redraw();
}

const redraw = () => draw(rollups, end(), ...range());

/** bar is a labelled bar that leads somewhere. */
const bar = (name, n, top, href, parts) =>
  h("li", {}, h("a", { href },
    h("span", { class: "name" }, name),
    h("span", { class: "track" }, meter(parts.map(([k, v]) => ["sev-" + k, v]), top)),
    h("span", { class: "n" }, short(n)),
    h("span", { class: "hidden" }, parts.map(([k, v]) => num(v) + " " + k).join(", "))));

async function summary() {
  const since = form.elements.since.value;
  const s = await get("summary?" + params({ since }));
  const of = (family) => s.findings.filter((t) => t.family === family && t.kind !== "campaign");
  const sum = (list) => list.reduce((n, t) => n + t.findings, 0);
  const top = Math.max(1, ...families.map(([f]) => sum(of(f))));
  put(byId("families"), ...families.map(([f, name]) => {
    const list = of(f);
    const parts = severities.map((k) => [k, sum(list.filter((t) => t.severity === k))]).filter(([, n]) => n);
    return bar(name, sum(list), top, "/findings?" + params({ family: f, since }), parts);
  }));
  text(byId("families-range"), "findings, last " + range()[1]);
  put(byId("states"), ...states.filter(([k]) => s.decisions[k]).map(([k, name]) => h("li", { class: "plain" }, h("a", { href: "/decisions?state=" + k }, name + " ", h("b", {}, num(s.decisions[k]))))));
}

const number = (name, value, mark = "", title = "") => h("div", { class: mark, title }, h("dt", {}, name), h("dd", {}, value));

function strip() {
  const status = current();
  if (!status) return;
  const slow = status.lag_seconds > 30 ? "bad" : status.lag_seconds > 5 ? "warn" : "";
  const waiting = decisions.counts(standing.all()).waiting;
  const lost = status.sources.reduce((n, r) => n + r.read - r.processed - r.rejected, 0);
  byId("numbers").replaceChildren(
    number("lines a second", short(status.lines_per_second)),
    number("behind the log", lag(status.lag_seconds), slow, bytes(status.lag_bytes) + " unread"),
    number("lines unaccounted", num(lost), lost ? "bad" : "", "read = processed + rejected, over all sources"),
    number("blocked now", num(status.blocked)),
    number("throttled now", num(status.throttled)),
    number("waiting for you", num(waiting), waiting ? "warn" : ""),
    number("families enforced", status.simulation ? "none" : status.enforcing.length + " of " + (status.enforcing.length + status.observing.length), status.simulation || !status.enforcing.length ? "warn" : "", "Observed only: " + (status.observing.join(", ") || "none")),
    number("clients tracked", short(status.tracked), "", num(status.tracked)),
  );
}

const standing = decisions.standing({ el: byId("decisions"), count: byId("decisions-count"), changed() { say(); strip(); } });
const found = findings.list({ el: byId("findings"), count: byId("findings-count"), more: byId("findings-more"), filter: () => ({}), empty: "Nothing found yet. Findings appear here as they fire." });
const campaigns = findings.list({
  el: byId("campaigns"), count: byId("campaigns-count"), limit: 5, filter: () => ({ kind: "campaign", since: "2h" }),
  empty: "No campaign in the last two hours.",
});

const wait = (fn) => () => live() && fn().catch(failed);
setInterval(wait(traffic), 15000);
setInterval(wait(summary), 15000);
form.addEventListener("submit", (e) => e.preventDefault());
form.addEventListener("change", (e) => {
  if (e.target.name === "since") history.replaceState(null, "", "/?since=" + form.elements.since.value);
  Promise.all([traffic(), summary()]).catch(failed);
});
new ResizeObserver(redraw).observe(byId("chart"));
sources.start();

start({
  load: () => Promise.all([standing.load(), found.load(), campaigns.load(), traffic(), summary(), sources.loadAllowed()]),
  status(s) {
    strip();
    sources.sources(s.sources, s.blind);
    sources.gateways(s.gateways);
    sources.modes(s);
  },
  finding(x) {
    if (!live()) return;
    found.take(x);
    campaigns.take(x);
  },
  decision: (d) => standing.take(d),
  headline: () => decisions.headline(standing.all()),
  title() {
    const n = decisions.counts(standing.all());
    return (n.broken ? "✗ " : "") + (n.waiting ? "(" + n.waiting + ") " : "");
  },
});
