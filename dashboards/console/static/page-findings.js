// Findings: the filter stands in the address.
import { h, byId } from "./dom.js";
import { start, filters, failed } from "./shell.js";
import { list, ruleBook } from "./findings.js";

const filter = filters(byId("filter"), () => found.load().catch(failed));
const found = list({ el: byId("findings"), count: byId("findings-count"), more: byId("findings-more"), filter, empty: "Nothing matches the filter." });

start({
  async load() {
    await found.load();
    const rules = await ruleBook();
    byId("rules").replaceChildren(...[...rules.keys()].map((r) => h("option", { value: r })));
  },
  finding: found.take,
});
