// Alerts: what people were told, who looks after it, and what is kept quiet.
import { h, put, byId, text, raw, plain, toast } from "./dom.js";
import { num, ago, when } from "./format.js";
import { get, send, params } from "./api.js";
import { ask } from "./ask.js";
import { start, filters, failed, may, subjectLink } from "./shell.js";

const filter = filters(byId("filter"), () => load().catch(failed));
const time = (at) => h("time", { datetime: at, title: when(at), "data-ago": at }, ago(at));

function acknowledge(a) {
  ask({ title: "Look after this alert", ok: "Acknowledge", text: "Nobody else is told by an escalation, and there are no reminders." }, async (given) => {
    await send("POST", "alerts/" + encodeURIComponent(a.id) + "/acknowledge", { why: given.why });
    toast("Acknowledged.");
    load().catch(failed);
  });
}

function quiet(value) {
  ask({ title: "Silence alerts", ok: "Silence", value: !value, label: "Conditions", example: "rule=scanner, severity=medium", spans: "timed",
    text: value ? "Keeps alerts quiet that meet: " + value : "Conditions, separated by commas: rule=scanner, severity=medium, route=/login, subject=ip:192.0.2.7." },
  async (given) => {
    await send("POST", "silences", { why: given.why, for: given.for, value: value || given.value });
    toast("Silenced.");
    load().catch(failed);
  });
}

function end(s) {
  ask({ title: "End the silence", ok: "End it", text: "Alerts that meet " + s.match.join(", ") + " are told of again." }, async (given) => {
    await send("DELETE", "silences/" + encodeURIComponent(s.id), { why: given.why });
    load().catch(failed);
  });
}

function alert(a) {
  const told = a.told.length ? "Told to " + a.told.join(", ") + "." : "Nobody was told yet.";
  return h("li", { class: "alert" },
    h("p", {}, h("span", { class: "tag " + (a.closed ? "" : a.severity === "critical" || a.severity === "high" ? "bad" : "warn") }, a.closed ? "closed" : a.severity), " ", h("b", {}, raw(a.title)), a.route ? [" on ", raw(a.route)] : "", " ",
      h("span", { class: "quiet" }, num(a.findings) + (a.findings === 1 ? " finding" : " findings") + " of " + num(a.clients) + (a.clients === 1 ? " client, opened " : " clients, opened "), time(a.opened))),
    h("p", {}, plain(a.why)),
    h("p", { class: "quiet" }, told, a.muted ? " Quiet now: " + plain(a.muted) + "." : "", a.into ? [" Went into ", h("a", { href: "/alerts?which=all&id=" + encodeURIComponent(a.into) }, raw(a.into)), "."] : ""),
    a.failing.map((f) => h("p", { class: "error" }, plain(f))),
    a.ack_by ? h("p", { class: "quiet" }, plain(a.ack_by) + " looks after it: " + plain(a.ack_why || "")) : "",
    h("p", {}, a.subjects.slice(0, 8).flatMap((s) => [h("a", { href: subjectLink(s) }, raw(s.value)), " "])),
    h("p", { class: "actions" },
      !a.closed && !a.ack_by && may("operator") && h("button", { type: "button", class: "small", onclick: () => acknowledge(a) }, "Acknowledge…"),
      !a.closed && may("operator") && h("button", { type: "button", class: "small", onclick: () => quiet("rule=" + a.rule + (a.route ? ", route=" + a.route : "")) }, "Silence…")));
}

function silence(s) {
  return h("tr", {}, h("td", { class: "wrap" }, raw(s.match.join(", "))), h("td", {}, h("time", { datetime: s.until }, when(s.until))), h("td", { class: "wrap" }, plain(s.who)), h("td", { class: "wrap" }, plain(s.why)),
    h("td", {}, s.holds ? may("operator") ? h("button", { type: "button", class: "small", onclick: () => end(s) }, "End…") : "holds" : s.ended ? "ended" : "over"));
}

async function load() {
  const { which, id } = filter();
  const [{ alerts }, { silences }] = await Promise.all([get("alerts?" + params({ open: which || id ? "" : "true", id, limit: 200 })), get("silences")]);
  put(byId("alerts"), ...(alerts.length ? alerts.map(alert) : [h("li", { class: "quiet" }, "No alert here.")]));
  text(byId("alerts-count"), String(alerts.length));
  put(byId("silences"), ...(silences.length ? silences.map(silence) : [h("tr", {}, h("td", { colspan: 5, class: "quiet" }, "None."))]));
}

byId("silence").addEventListener("click", () => quiet(""));
start({ load });
