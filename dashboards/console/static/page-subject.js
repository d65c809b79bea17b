// Subject: everything about one client, consumer, route or network.
import { h, put, byId, text, raw, plain } from "./dom.js";
import { when, ago, num, plural } from "./format.js";
import { get, params } from "./api.js";
import { start, filters, failed, may } from "./shell.js";
import { show, standing, evidence } from "./findings.js";
import * as decisions from "./decisions.js";

/** filled turns a bare address into kind:value. */
function filled(v) {
  if (/^[a-z]+:[^:]/i.test(v) && !/^[0-9a-f]{1,4}:[0-9a-f:]*$/i.test(v)) return v;
  return (v.includes("/") && !v.startsWith("/") ? "cidr:" : v.startsWith("/") ? "route:" : "ip:") + v;
}

const filter = filters(byId("filter"), () => load().catch(failed));
let shown = "";

async function load() {
  const { subject } = filter();
  if (!subject) return;
  const s = await get("subject?" + params({ subject: filled(subject) }));
  shown = s.subject.kind + ":" + s.subject.value;
  put(byId("subject-title"), s.subject.kind + " ", raw(s.subject.value));
  about(s, await traffic(s.subject));
  timeline(s);
  decisions.show(byId("decisions"), s.decisions, "Nothing was ever decided about it.");
  text(byId("decisions-count"), s.decisions.length ? String(s.decisions.length) : "");
  show(byId("findings"), s.findings, "Nothing was ever found of it.");
  text(byId("findings-count"), s.findings.length ? String(s.findings.length) + (s.more ? "+" : "") : "");
  byId("requests").replaceChildren(...(s.requests.length
    ? s.requests.map((r) => evidence(r, " · ", h("a", { href: "/findings?rule=" + encodeURIComponent(r.rule) }, r.rule)))
    : [h("li", { class: "quiet" }, "None: only lines that led to a finding are kept here. Every request is in Elasticsearch where that is set up.")]));
  text(byId("requests-count"), s.requests.length ? String(s.requests.length) : "");
}

const fact = (name, ...value) => h("div", {}, h("dt", {}, name), h("dd", {}, ...value));

/** traffic of a route in 24 hours, in words; "" for everything else. */
async function traffic(subject) {
  if (subject.kind !== "route") return "";
  const { rollups } = await get("traffic?" + params({ since: "24h", route: subject.value, step: 1440 }));
  const sum = (k) => rollups.reduce((n, r) => n + r[k], 0);
  if (!sum("requests")) return "none in 24 h";
  return plural(sum("requests"), "request") + " in 24 h: " + ["s2xx", "s3xx", "s4xx", "s5xx"].map((k) => num(sum(k)) + " " + k.slice(1)).join(", ") + "; " + num(sum("denied")) + " denied by us, " + num(sum("refused")) + " refused logins";
}

function about(s, requests) {
  const live = s.decisions.filter((d) => d.live);
  const entry = s.allow.map((a) => plain(a.value) + ", " + plain(a.why) + " (" + plain(a.by) + ")").join("; ");
  put(byId("about"),
    h("dl", { class: "grid" },
      fact("Now", live.length ? live.map((d) => d.action + ", " + d.state.replace("_", " ")).join("; ") : "nothing in force against it"),
      fact("Blast radius", s.standing ? standing(s.standing) : "not known: nothing was found of it"),
      fact("Seen", s.first_seen ? when(s.first_seen) + " to " + when(s.last_seen) : "not as a subject of a finding"),
      fact("Findings", plural(s.findings.length, "finding") + (s.more ? " or more" : "") + " by " + plural(new Set(s.findings.map((f) => f.rule)).size, "rule")),
      requests && fact("Traffic", requests),
      s.network && fact("Acted on as", s.network),
      fact("Allow list", entry || "not on it"),
      s.campaigns.length > 0 && fact("Takes part in", ...s.campaigns.slice(0, 5).map((c) => h("a", { href: "/subject?subject=" + encodeURIComponent("campaign:" + c.subject.value) }, raw(c.subject.value), " ")))),
    may("operator") && !["campaign", "global"].includes(s.subject.kind) && h("p", {}, h("button", { class: "small", type: "button", onclick: () => decisions.allowSubject(s.subject) }, "Never act on this subject…")));
}

const shownMost = 200;

function timeline(s) {
  const events = [];
  for (const f of s.findings) events.push([f.fired_at, "found", f.rule + ": " + plain(f.why), f.severity === "critical" || f.severity === "high" ? "bad" : "warn"]);
  for (const c of s.campaigns) events.push([c.fired_at, "campaign", plain(c.why), "warn"]);
  for (const d of s.decisions) for (const c of d.history) events.push([c.at, c.to.replace("_", " "), d.action + " by " + plain(c.who) + (c.why ? ": " + plain(c.why) : ""), c.to === "not_enforced" ? "bad" : c.to === "verified" ? "ok" : "info"]);
  for (const r of s.requests) if (r.time) events.push([r.time, "request", plain(r.note || r.rule), ""]);
  events.sort((a, b) => (a[0] < b[0] ? 1 : a[0] > b[0] ? -1 : 0));
  put(byId("timeline"), ...(events.length ? events : []).slice(0, shownMost).map(([at, what, words, mark]) =>
    h("li", {}, h("time", { datetime: at, title: ago(at) }, when(at)), " ", h("span", { class: "tag " + mark }, what), " ", h("span", { class: "words" }, words))),
    !events.length && h("li", { class: "quiet" }, "Nothing yet."),
    events.length > shownMost && h("li", { class: "quiet" }, "and " + num(events.length - shownMost) + " earlier"));
}

const concerns = (x) => x.subject.kind + ":" + x.subject.value === shown && load().catch(failed);
start({ load, finding: concerns, decision: concerns });
