// Backtest: whom decisions about the log would have hit.
import { h, put, byId, text, raw, plain, toast } from "./dom.js";
import { num, short, ago, when } from "./format.js";
import { get, send } from "./api.js";
import { ask } from "./ask.js";
import { start, failed, may, subjectLink } from "./shell.js";
import { meter, columns } from "./bars.js";

const shown = new URLSearchParams(location.search).get("id");
const form = byId("order");
const marks = { running: "info", done: "ok", failed: "bad", cancelled: "" };
let jobs = [];
let settings = [];
let result = null;

/** far says how far a backtest is. */
function far(job) {
  const step = "reading " + job.reading + " of 2";
  if (!job.total) return [h("span", {}, step + ", " + short(job.read))];
  const words = step + ", " + Math.floor((job.read / job.total) * 100) + " %";
  return [h("progress", { max: job.total, value: job.read, "aria-label": words }), " ", words];
}

function cancel(job) {
  ask({ title: "Cancel the backtest", ok: "Cancel it", text: "What it has read so far is lost." }, async (given) => {
    await send("POST", "backtests/" + job.id + "/cancel", { why: given.why });
    toast("It ends.");
  });
}

function row(job) {
  return h("tr", { "data-id": job.id, "aria-current": job.id === shown && "true" },
    h("td", {}, h("time", { datetime: job.started, title: when(job.started), "data-ago": job.started }, ago(job.started))),
    h("td", { class: "wrap" }, plain(job.who)),
    h("td", { class: "wrap" }, raw(job.asked), h("p", { class: "quiet" }, plain(job.why))),
    h("td", { class: "wrap" }, h("span", { class: "tag " + marks[job.state] }, job.state), " ", job.state === "running" ? far(job) : "", job.error ? h("p", { class: "error" }, plain(job.error)) : ""),
    h("td", {}, job.state === "done" && h("a", { class: "button small", href: "/backtest?id=" + job.id }, "Open"),
      job.state === "running" && may("operator") && h("button", { type: "button", class: "small", onclick: () => cancel(job) }, "Cancel…")));
}

/** list draws the jobs; what has the focus keeps it. */
function list() {
  const body = byId("jobs");
  const id = document.activeElement?.closest("tr")?.dataset.id;
  put(body, ...(jobs.length ? jobs.map(row) : [h("tr", {}, h("td", { colspan: 5, class: "quiet" }, "None yet."))]));
  if (id) body.querySelector(`[data-id="${id}"] :is(a, button)`)?.focus({ preventScroll: true });
}

const head = (first) => h("thead", {}, h("tr", {}, h("th", { scope: "col" }, first), h("th", { scope: "col" }, h("span", { class: "hidden" }, "Chart")),
  ["Decisions", "In force", "Narrowed", "Clean", "Refused", "Succeeded", "Good", "Good clients", "Paid"].map((name) => h("th", { scope: "col", class: "n" }, name))));

function sums(name, s, top, marked) {
  return h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "track" }, meter([["hit-good", s.good], ["hit-rest", s.refused - s.good]], top)),
    [s.decisions, s.in_force, s.narrowed, s.clean, s.refused, s.succeeded, s.good, s.identities, s.paid].map((n, i) => h("td", { class: "n" + (i > 5 && i < 8 && n && marked ? " hot" : "") }, num(n))));
}

function table(el, first, lines, name) {
  const top = Math.max(1, ...lines.map((s) => s.refused));
  put(el, head(first), h("tbody", {}, lines.length ? lines.map((s, i) => sums(name(s, i), s, top, true)) : h("tr", {}, h("td", { colspan: 11, class: "quiet" }, "No decision."))));
}

const score = (t) => "score " + t.threshold + (t.set ? ", as set" : "");

/** rules draws what depends on the score that is chosen. */
function rules() {
  const t = result.trials[byId("score").value];
  table(byId("by-rule"), "Rule", t.rules, (s) => h("a", { href: "/rules#" + encodeURIComponent(s.rule) }, raw(s.rule)));
  const most = Math.max(0, ...t.in_force);
  put(byId("over-time"), t.in_force.length ? columns(t.in_force, "At " + score(t) + ", at most " + num(most) + " decisions in force at once, from " + when(result.total.first) + " to " + when(result.total.last)) : h("p", { class: "quiet" }, "The log has no length."));
}

function worst(d) {
  return h("tr", {}, h("td", {}, d.from ? when(d.from) : "proposed only"), h("td", {}, d.action + (d.narrowed ? " (narrowed)" : ""), d.route ? [" on ", raw(d.route)] : ""),
    h("td", { class: "wrap" }, h("a", { href: subjectLink(d) }, raw(d.value))),
    h("td", { class: "wrap" }, h("b", {}, plain(d.rule)), ": " + (d.reason ? plain(d.reason) + "; " : "") + plain(d.why),
      d.most.length ? h("p", { class: "quiet" }, "hit most: ", d.most.flatMap((m, i) => [i ? ", " : "", raw(m.kind + ":" + m.value), " (" + num(m.count) + ")"])) : ""),
    [d.refused, d.good, d.identities].map((n) => h("td", { class: "n" }, num(n))));
}

async function open() {
  if (!shown || result) return;
  const job = await get("backtests/" + encodeURIComponent(shown));
  if (!job.result) return;
  result = job.result;
  const t = result.total;
  byId("report").href = "/api/v1/backtests/" + job.id + "/report";
  text(byId("about"), t.requests ? num(t.requests) + " requests from " + when(t.first) + " to " + when(t.last) + ": " + num(t.succeeded) + " succeeded, " + num(t.authenticated) + " of them for a known identity. Asked: " + plain(job.asked) + "." : "No request in this range.");
  table(byId("by-score"), "Score", result.trials.map((x) => x.sums), (_, i) => score(result.trials[i]));
  put(byId("score"), ...result.trials.map((x, i) => h("option", { value: i, selected: x.set }, score(x))));
  rules();
  put(byId("worst"), h("thead", {}, h("tr", {}, ["From", "Action", "Subject", "Rule and why"].map((n) => h("th", { scope: "col" }, n)), ["Refused", "Good", "Good clients"].map((n) => h("th", { scope: "col", class: "n" }, n)))),
    h("tbody", {}, result.worst.length ? result.worst.map(worst) : h("tr", {}, h("td", { colspan: 7, class: "quiet" }, "No decision."))));
  text(byId("more"), result.more ? "And " + num(result.more) + " more." : "");
  byId("result").hidden = false;
}

/** change is a line of the form: a setting of a rule, and its value. */
function change() {
  const value = h("input", { autocomplete: "off", spellcheck: "false", maxlength: 128, "aria-label": "Value", required: true });
  const select = h("select", { "aria-label": "Setting of a rule" }, settings.map((x, i) => h("option", { value: i }, x.rule + "." + x.key)));
  const about = h("span", { class: "quiet" });
  const chosen = () => {
    const x = settings[select.value];
    value.placeholder = x.value;
    text(about, "Now " + (x.value || "empty") + "; " + x.wants + ". " + x.doc);
  };
  select.addEventListener("change", chosen);
  chosen();
  const line = h("li", {}, select, " ", value, " ", h("button", { type: "button", class: "small", onclick: () => {
    line.remove();
    byId("add").focus();
  } }, "Remove"), about);
  byId("changes").append(line);
  select.focus();
}

/** order is what the form asks. */
function order() {
  const words = (name) => form.elements[name].value.split(/[\s,]+/).filter(Boolean);
  return {
    from: form.elements.from.value, since: form.elements.since.value, thresholds: words("thresholds").map(Number), paid: words("paid"), as_set: form.elements.as_set.checked,
    change: [...byId("changes").children].map((li) => {
      const { rule, key } = settings[li.querySelector("select").value];
      return { rule, key, value: li.querySelector("input").value.trim() };
    }),
  };
}

async function load() {
  const data = await get("backtests");
  jobs = data.backtests.map(newest);
  settings = data.settings;
  byId("nowhere").hidden = data.here;
  form.hidden = !data.here || !may("operator");
  byId("add").hidden = !settings.length;
  if (!form.elements.from.options.length) put(form.elements.from, ...data.from.map((f) => h("option", { value: f.name }, f.name + ": " + plain(f.about))));
  text(byId("throttle"), data.throttle + ", as set");
  list();
  await open();
}

byId("add").addEventListener("click", change);
byId("score").addEventListener("change", rules);
form.addEventListener("submit", (e) => {
  e.preventDefault();
  const asked = order();
  ask({ title: "Start a backtest", ok: "Start", text: "It reads the log twice and can take a while. Nothing is enforced." }, async (given) => {
    take(await send("POST", "backtests", { ...asked, why: given.why }));
    toast("It runs.");
  });
});

/** newest is a job, or what the list has of it: an answer may be overtaken by an event. */
function newest(job) {
  const old = jobs.find((x) => x.id === job.id);
  if (!old || job.state !== "running") return job;
  const behind = old.state !== "running" || job.reading < old.reading || (job.reading === old.reading && job.read < old.read);
  return behind ? old : job;
}

/** take puts a job that is new or has changed into the list. */
function take(job) {
  const i = jobs.findIndex((x) => x.id === job.id);
  if (i < 0) jobs.unshift(job);
  else jobs[i] = newest(job);
  list();
  if (job.state === "done") open().catch(failed);
}

start({ load: () => load().catch(failed), backtest: take });
