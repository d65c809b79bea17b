// Campaigns: findings whose subject is a group of clients.
import { byId } from "./dom.js";
import { start, filters, failed } from "./shell.js";
import { list } from "./findings.js";

const given = filters(byId("filter"), () => found.load().catch(failed));
const filter = () => ({ ...given(), kind: "campaign" });
const found = list({ el: byId("findings"), count: byId("campaigns-count"), more: byId("findings-more"), filter, empty: "No campaign here." });

start({ load: () => found.load(), finding: found.take });
