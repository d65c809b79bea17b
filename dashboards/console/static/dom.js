// Building the document. Nothing here parses HTML: every string becomes a text
// node, and the page's policy (trusted-types 'none') forbids the rest.

/** h makes an element. Keys of props: class, data-*, aria-*, on<event>, or a property. */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** s makes an SVG element. */
export function s(tag, props = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

function fill(el, props, children) {
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) el.addEventListener(key.slice(2), value);
    else el.setAttribute(key, value === true ? "" : String(value));
  }
  return put(el, ...children);
}

/** put replaces what is in an element; what is missing or empty is left out. */
export function put(el, ...children) {
  el.replaceChildren(...children.flat().filter((c) => c !== null && c !== undefined && c !== false && c !== ""));
  return el;
}

export const byId = (id) => document.getElementById(id);

/** text sets the text of an element only when it changed, so that screen readers
 * and selections are left alone. */
export function text(el, value) {
  if (el.textContent !== value) el.textContent = value;
}

// Control, format (bidirectional and zero-width), private, unassigned and
// surrogate characters, line separators, blanks that are not a blank.
const hidden = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\u2028\u2029\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\ufe00-\ufe0f\ufffc]/gu;
const names = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0" };

/** shown writes a character that does not show as an escape. */
function shown(ch) {
  if (names[ch]) return names[ch];
  const code = ch.codePointAt(0);
  return code < 0x100 ? "\\x" + code.toString(16).padStart(2, "0") : "\\u{" + code.toString(16) + "}";
}

/** raw renders text that a client sent: what does not print is made visible. */
export function raw(value, props = {}) {
  const el = h("span", { ...props, class: "raw " + (props.class || "") });
  let from = 0;
  for (const m of value.matchAll(hidden)) {
    if (m.index > from) el.append(value.slice(from, m.index));
    el.append(h("span", { class: "ctl" }, shown(m[0])));
    from = m.index + m[0].length;
  }
  if (from < value.length) el.append(value.slice(from));
  return el;
}

/** plain is raw for places that take a string only. */
export const plain = (value) => String(value).replace(hidden, shown);

/** keyed keeps a list in step with items: elements of the same key stay, so that
 * focus, selection and what is unfolded survive an update. */
export function keyed(list, items, key, make, update, emptyText) {
  const old = new Map([...list.children].filter((el) => el.dataset.key).map((el) => [el.dataset.key, el]));
  for (const el of [...list.children]) if (!el.dataset.key) el.remove();
  let at = list.firstElementChild;
  for (const item of items) {
    const id = key(item);
    let el = old.get(id);
    if (el) old.delete(id);
    else {
      el = make(item);
      el.dataset.key = id;
    }
    update(el, item);
    if (el === at) at = at.nextElementSibling;
    else list.insertBefore(el, at);
  }
  for (const el of old.values()) el.remove();
  if (!items.length) list.append(h("li", { class: "empty" }, emptyText));
}

let clearToast = 0;

/** toast says in passing what happened. */
export function toast(message) {
  const el = byId("toast");
  text(el, message);
  el.classList.add("on");
  clearTimeout(clearToast);
  clearToast = setTimeout(() => el.classList.remove("on"), 5000);
}
