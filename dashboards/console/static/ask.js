// The dialog before every change: what will happen, for how long, and why.
import { h, byId, text } from "./dom.js";

const spans = [["1h", "1 hour"], ["4h", "4 hours"], ["24h", "1 day"], ["168h", "7 days"], ["720h", "30 days"], ["", "until removed"]];

/** ask opens the dialog and runs act({why, for, value}) on consent; it stays open
 * with the message when act fails. o: title, text, ok, danger,
 * value, label and example of it, spans. */
export function ask(o, act) {
  const dialog = byId("ask");
  const form = byId("ask-form");
  const ok = byId("ask-ok");
  text(byId("ask-title"), o.title);
  text(byId("ask-text"), o.text);
  text(ok, o.ok);
  byId("ask-error").hidden = true;
  byId("ask-why").value = "";
  byId("ask-value").value = "";
  byId("ask-value-row").hidden = !o.value;
  text(byId("ask-value-row").querySelector("label"), o.label || "Address, network or consumer");
  byId("ask-value").placeholder = o.example || "192.0.2.0/24";
  byId("ask-value").required = !!o.value;
  byId("ask-for-row").hidden = !o.spans;
  byId("ask-for").replaceChildren(...spans.filter(([v]) => v || o.spans === "open").map(([v, name]) => h("option", { value: v }, name)));
  byId("ask-for").value = o.spans === "open" ? "24h" : "4h";
  form.onsubmit = async (e) => {
    e.preventDefault();
    const why = byId("ask-why").value.trim().replace(/\s+/g, " ");
    if (!why) return byId("ask-why").focus();
    ok.disabled = true;
    try {
      await act({ why, for: o.spans ? byId("ask-for").value : "", value: byId("ask-value").value.trim() });
      dialog.close();
    } catch (err) {
      text(byId("ask-error"), err.message);
      byId("ask-error").hidden = false;
    } finally {
      ok.disabled = false;
    }
  };
  byId("ask-cancel").onclick = () => dialog.close();
  dialog.showModal();
  (o.value ? byId("ask-value") : byId("ask-why")).focus();
}
