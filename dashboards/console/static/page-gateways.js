// Gateways: what each holds, how far it is from what was decided, and the panic switch.
import { h, put, byId, text, raw, plain } from "./dom.js";
import { num, ago, when, lag } from "./format.js";
import { write } from "./api.js";
import { ask } from "./ask.js";
import { start, current } from "./shell.js";
import { modes } from "./sources.js";
import { standing, done } from "./decisions.js";

const moving = (d) => d.state === "not_enforced" || d.state === "approved" || d.state === "pushed";
const list = standing({ el: byId("decisions"), keep: moving, empty: "None: what was decided is seen to hold.", changed: () => {} });

function row(g) {
  const [mark, words] = g.error ? ["bad", "✗ failing"] : g.behind ? ["warn", "behind"] : ["ok", "✓ in step"];
  return h("tr", {},
    h("td", { class: "wrap" }, h("b", {}, raw(g.name)), g.error && h("p", { class: "error" }, plain(g.error))),
    h("td", {}, h("span", { class: "tag " + mark }, words)),
    h("td", { class: "n" }, num(g.entries)),
    h("td", {}, g.behind ? "a newer state waits" : "none"),
    h("td", {}, g.pushed_at ? h("time", { datetime: g.pushed_at, title: when(g.pushed_at), "data-ago": g.pushed_at }, ago(g.pushed_at)) : "never"),
    h("td", { class: "n" }, g.pushed_at ? lag(g.took_ms / 1000) : ""),
    h("td", { class: "n" }, num(g.changed)),
    h("td", { class: "n" }, num(g.fails)));
}

function panicSwitch(on) {
  const button = byId("panic");
  text(button, on ? "Resume…" : "Take everything off…");
  text(byId("panic-text"), on ? "It is on: nothing is in force. " + plain(current().panic_why || "") : "Takes every decision off the gateways at once, and puts nothing in force until somebody resumes.");
}

byId("panic").addEventListener("click", () => {
  const on = current()?.panic;
  ask(on ? { title: "Resume", ok: "Resume", text: "New findings are acted on again. What was lifted stays lifted." }
    : { title: "Take everything off the gateways", ok: "Take everything off", text: "Every block and limit ends at once, also those of real attackers." },
  async (given) => done(await write("POST", on ? "resume" : "panic", { why: given.why }), on ? "Resumed" : "Panic switch"));
});

start({
  load: () => list.load(),
  decision: list.take,
  status(s) {
    put(byId("gateways"), ...(s.gateways.length ? s.gateways.map(row) : [h("tr", {}, h("td", { colspan: 8, class: "quiet" }, "No gateway is connected: decisions are made and not pushed. portcullis setup shows how to connect one."))]));
    text(byId("gateways-count"), String(s.gateways.length));
    modes(s);
    panicSwitch(s.panic);
  },
});
