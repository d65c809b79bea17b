// Decisions: all of them, also those that ended; the filter stands in the address.
import { byId } from "./dom.js";
import { start, filters, failed } from "./shell.js";
import { list } from "./decisions.js";
import * as sources from "./sources.js";

const given = filters(byId("filter"), () => made.load().catch(failed));
const filter = () => {
  const f = given();
  if (f.state !== "live") return f;
  const { state, ...rest } = f;
  return { ...rest, live: "true" };
};
const made = list({ el: byId("decisions"), count: byId("decisions-count"), more: byId("decisions-more"), filter });
sources.start();

start({ load: () => Promise.all([made.load(), sources.loadAllowed()]), decision: made.take });
