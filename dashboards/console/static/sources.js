// Completeness by source, the gateways, and the allow list.
import { h, put, byId, text, raw, plain, keyed } from "./dom.js";
import { num, short, bytes, ago, when, lag } from "./format.js";
import { get, write } from "./api.js";
import { ask } from "./ask.js";
import { allow, done } from "./decisions.js";
import { may } from "./shell.js";

/** sources fills the ledger: read = processed + rejected, and what waits. more adds cells
 * to a row. */
export function sources(rows, blind, more = () => []) {
  const open = new Set([...byId("sources").querySelectorAll("details[open]")].map((d) => d.dataset.source));
  byId("sources").replaceChildren(...(rows.length ? rows.map((r) => source(r, blind.filter((b) => b.source === r.source), open.has(r.source), more(r))) : [h("tr", {}, h("td", { colspan: 10, class: "quiet" }, "No source has been read yet."))]));
}

/** sight says which detectors see little of a source, and what to log for them. */
function sight(source, blind, open) {
  if (!blind.length) return "";
  const none = new Set(blind.flatMap((b) => b.blind)).size, less = new Set(blind.flatMap((b) => b.half_blind)).size;
  const said = [none && num(none) + (none === 1 ? " detector is" : " detectors are") + " blind here", less && num(less) + (none ? "" : " detectors") + " half blind"].filter(Boolean).join(", ");
  return h("details", { "data-source": source, open: open || undefined }, h("summary", {}, said),
    h("ul", {}, ...blind.map((b) => h("li", {},
      h("b", {}, "No line has " + b.missing.join(" or ") + ". "), plain(b.add) + ".",
      h("div", { class: "quiet" }, [b.blind.length && "Blind: " + b.blind.join(", "), b.half_blind.length && "half blind: " + b.half_blind.join(", ")].filter(Boolean).join("; "))))));
}

function source(r, blind, open, more) {
  const adds = r.read === r.processed + r.rejected;
  const reasons = Object.entries(r.reasons || {}).sort((a, b) => b[1] - a[1]).map(([k, n]) => k + " " + num(n)).join(", ");
  return h("tr", {},
    h("td", { class: "wrap" }, raw(r.source), r.last_time ? h("div", { class: "quiet" }, "newest line: " + ago(new Date(r.last_time / 1e6).toISOString())) : "", sight(r.source, blind, open)),
    h("td", { class: "n", title: num(r.read) }, short(r.read)),
    h("td", { class: "n", title: num(r.processed) }, short(r.processed)),
    h("td", { class: "n", title: reasons || "none" }, short(r.rejected)),
    h("td", { class: "n" }, r.lag_bytes ? bytes(r.lag_bytes) : "0"),
    h("td", {}, adds ? h("span", { class: "tag ok" }, "✓ adds up") : h("span", { class: "tag bad" }, "✗ " + num(r.read - r.processed - r.rejected) + " lines missing")),
    ...more);
}

/** gateways lists where decisions are pushed to. */
export function gateways(rows) {
  byId("gateways").replaceChildren(...rows.map((g) => h("li", {},
    h("span", { class: "tag " + (g.error ? "bad" : "ok") }, g.error ? "✗ failing" : "✓ in step"),
    h("b", {}, raw(g.name)),
    h("span", { class: "quiet" }, num(g.entries) + " entries" + (g.pushed_at ? " · pushed " + ago(g.pushed_at) + " ago in " + lag(g.took_ms / 1000) : " · nothing pushed yet")),
    g.error && h("span", { class: "error" }, plain(g.error)))));
}

/** modes says which families act and which only propose. */
export function modes(status) {
  text(byId("modes"), [
    status.enforcing.length && "Enforced: " + status.enforcing.join(", ") + ".",
    status.observing.length && "Only observed, blocks wait for approval: " + status.observing.join(", ") + ".",
  ].filter(Boolean).join(" "));
}

/** loadAllowed reads who is never acted on. */
export async function loadAllowed() {
  const { allow: rows } = await get("allow");
  text(byId("allow-count"), rows.length ? String(rows.length) : "");
  keyed(byId("allow"), rows, (a) => a.value, () => h("li", { class: "entry" }), (li, a) => {
    put(li,
      h("div", {}, raw(a.value), h("div", { class: "quiet" }, plain(a.why) + " · " + plain(a.by) + (a.expires ? " · until " + when(a.expires) : ""))),
      may("operator") && h("button", { class: "small", type: "button", "aria-label": "Remove " + plain(a.value), onclick: () => remove(a) }, "Remove"));
  }, "The allow list is empty. Trusted hops and private ranges are safe without it.");
}

function remove(a) {
  ask({ title: "Remove " + plain(a.value), ok: "Remove", text: "It may be acted on again, like anybody." }, async (given) => {
    done(await write("DELETE", "allow/" + encodeURIComponent(a.value), { why: given.why }), plain(a.value));
  });
}

/** start wires the button that adds an entry. */
export function start() {
  byId("allow-add").addEventListener("click", () =>
    ask({ title: "Never act on", ok: "Allow", text: "What is live against it is released.", value: true, spans: "open" }, (given) =>
      allow({ kind: "ip", value: given.value }, given)));
}
