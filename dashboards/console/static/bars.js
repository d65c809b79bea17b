// Bars within lists and tables, and columns over time.
import { s } from "./dom.js";

/** meter draws shares of a whole as SVG, since the policy forbids styles in elements.
 * parts are [class, number]. */
export function meter(parts, top) {
  let at = 0;
  return s("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, parts.filter(([, n]) => n).map(([kind, n]) => {
    const width = Math.max((n / top) * 100, 0.7);
    const part = s("rect", { class: kind, x: at, width, height: 10 });
    at += width;
    return part;
  }));
}

/** columns draws numbers side by side; words say what it shows to those who do not see it. */
export function columns(numbers, words) {
  const top = Math.max(1, ...numbers);
  return s("svg", { viewBox: `0 0 ${numbers.length * 10} 60`, preserveAspectRatio: "none", role: "img", "aria-label": words },
    numbers.map((n, i) => n && s("rect", { class: "hit-rest", x: i * 10, y: 60 - (n / top) * 60, width: 9, height: (n / top) * 60 })));
}
