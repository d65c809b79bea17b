// Audit: who did what, when, why, and what came of it.
import { h, put, byId, raw, plain } from "./dom.js";
import { when } from "./format.js";
import { get, params } from "./api.js";
import { start, filters, failed, may, subjectLink } from "./shell.js";

const filter = filters(byId("filter"), () => load().catch(failed));
const page = 100;
let next = "";

const cell = (...parts) => h("td", { class: "wrap" }, ...parts);

function change(c) {
  return h("tr", {}, h("td", {}, h("time", { datetime: c.at }, when(c.at))), cell(plain(c.who)), cell((c.from ? c.from.replace("_", " ") + " → " : "") + c.to.replace("_", " ")),
    cell(c.action + " ", h("a", { href: subjectLink(c.subject) }, raw(c.subject.value)), c.rule ? " (" + c.rule + ")" : ""), cell(plain(c.why || "")), cell(""));
}

function command(c) {
  return h("tr", {}, h("td", {}, h("time", { datetime: c.at }, when(c.at))), cell(plain(c.who)), cell(c.verb), cell(raw(c.arg)), cell(plain(c.why || "")),
    cell(h("span", { class: "tag " + (c.failed ? "bad" : c.done ? "ok" : "info") }, c.failed ? "refused" : c.done ? "done" : "waits"), " " + plain(c.result || "")));
}

async function load(cursor) {
  const { what, since } = filter();
  const query = params({ since, limit: page, cursor, people: what === "people" ? "true" : "" });
  const data = await get((what ? "changes?" : "commands?") + query);
  const rows = (data.changes || data.commands).map(what ? change : command);
  if (cursor) byId("audit").append(...rows);
  else put(byId("audit"), ...(rows.length ? rows : [h("tr", {}, h("td", { colspan: 6, class: "quiet" }, "Nothing yet."))]));
  next = data.next || "";
  byId("audit-more").hidden = !next;
}

async function keys() {
  if (!may("admin")) return;
  const { keys: list } = await get("keys");
  put(byId("keys"), ...(list.length ? list.map((k) => h("tr", {}, cell(raw(k.name)), cell(k.role), cell(k.created ? when(k.created) : ""), cell(k.expires ? when(k.expires) : "never"),
    cell(h("span", { class: "tag " + (k.live ? "ok" : "") }, k.live ? (k.secrets > 1 ? "rotating" : "in force") : "run out")))) : [h("tr", {}, h("td", { colspan: 5, class: "quiet" }, "No keys."))]));
}

byId("audit-more").addEventListener("click", () => load(next).catch(failed));
// Rows that were read further down stay: the list is not read anew by itself.
start({ calm: true, load: () => Promise.all([load(), keys()]) });
