// Marking in a line what was matched in it. The note holds the fragment as it reads once
// escapes are undone, so the line is read the same way, remembering where each character
// stood.
import { h, raw } from "./dom.js";

const shortest = 3;

/** undone is the line with percent escapes undone twice and blanks for +, in lower case;
 * at[i] and end[i] say where character i begins and ends in the line. */
function undone(line) {
  let chars = [...line].map((c) => c);
  let at = [], end = [];
  let pos = 0;
  for (const c of chars) {
    at.push(pos);
    pos += c.length;
    end.push(pos);
  }
  for (let round = 0; round < 2; round++) {
    const out = [], from = [], to = [];
    for (let i = 0; i < chars.length; i++) {
      const code = chars[i] === "%" ? parseInt(/^[0-9a-f]{2}$/i.test((chars[i + 1] || "") + (chars[i + 2] || "")) ? chars[i + 1] + chars[i + 2] : "", 16) : NaN;
      const whole = !Number.isNaN(code);
      out.push(whole ? String.fromCharCode(code) : chars[i]);
      from.push(at[i]);
      to.push(whole ? end[i + 2] : end[i]);
      if (whole) i += 2;
    }
    [chars, at, end] = [out, from, to];
  }
  return { words: chars.map((c) => (c === "+" ? " " : c.toLowerCase().slice(0, 1) || c)), at, end };
}

/** fragments are what of a note may stand in the line, the longest first: what follows its
 * colon, and then single words that are no plain English. */
function fragments(note) {
  const low = note.toLowerCase();
  const out = [];
  const colon = low.indexOf(": ");
  if (colon >= 0) {
    const rest = low.slice(colon + 2);
    for (const stop of ["; ", ", and ", ", "]) {
      const cut = rest.lastIndexOf(stop);
      if (cut > 0) out.push(rest.slice(0, cut));
    }
    out.unshift(rest);
  }
  for (const word of low.split(/\s+/)) {
    const bare = word.replace(/^["'(]+|[,;:.)"']+$/g, "");
    if (/[^a-z0-9]/.test(bare)) out.push(bare);
  }
  return out.filter((f) => f.length >= shortest).sort((a, b) => b.length - a.length);
}

/** place finds what was matched: [from, to] in the line, or null. */
export function place(line, note) {
  const read = undone(line);
  for (const f of fragments(note)) {
    const want = [...f].map((c) => c.toLowerCase().slice(0, 1) || c);
    for (let i = 0; i + want.length <= read.words.length; i++) {
      if (want.every((c, k) => c === read.words[i + k])) return [read.at[i], read.end[i + want.length - 1]];
    }
  }
  return null;
}

/** marked shows a line with the matched part set off, where it can be found. */
export function marked(line, note) {
  const at = note ? place(line, note) : null;
  if (!at) return raw(line);
  return h("span", { class: "raw line" }, raw(line.slice(0, at[0])), h("mark", {}, raw(line.slice(at[0], at[1]))), raw(line.slice(at[1])));
}
