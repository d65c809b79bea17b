// Sources: completeness, what they lack, why lines were rejected.
import { h, put, byId, text, plain } from "./dom.js";
import { num, short } from "./format.js";
import { start } from "./shell.js";
import { sources } from "./sources.js";

const n = (v) => h("td", { class: "n", title: num(v) }, short(v));

function rejects(rows) {
  const all = rows.flatMap((r) => Object.entries(r.reasons || {}).map(([reason, count]) => [r.source, reason, count])).sort((a, b) => b[2] - a[2]);
  put(byId("rejects"), ...(all.length ? all.map(([source, reason, count]) =>
    h("li", {}, h("span", { class: "name" }, reason.replaceAll("_", " ")), h("span", { class: "track quiet" }, plain(source)), h("span", { class: "n" }, num(count)))) : [h("li", { class: "quiet" }, "None.")]));
}

start({
  status(s) {
    sources(s.sources, s.blind, (r) => [n(r.late), n(r.future), n(r.truncated), h("td", {}, plain(r.format || ""))]);
    text(byId("sources-count"), String(s.sources.length));
    rejects(s.sources);
  },
});
