"use strict";
// `slung inspect`. Texts are hostile: they enter the page only as text nodes, through `show`.
// A "side" is one column: the documents colored by one labeler's scores. There are one or two of them.

const DATA = JSON.parse(byId("data").textContent);
const BUCKETS = DATA.buckets;
const VIEWS = ["all combined", ...DATA.labelers]; // the choices for a side
const LEFT_OUT = BUCKETS.length; // index of the counts of tokens that Axolotl would not train on
const TOP = BUCKETS.length - 1;
const CONFIG_BOUNDS = BUCKETS.slice(0, TOP).map((bucket) => bucket.below);
const ROW = 300; // tokens drawn at a time

const state = { bounds: [...CONFIG_BOUNDS], views: [0] };

// ---- small helpers

function byId(id) {
  return document.getElementById(id);
}

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

// The same expression is in visible.py: characters that are invisible, or move or reorder others.
const HIDDEN = /(?! )[\p{Cc}\p{Cf}\p{Cs}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]/gu;
const SIGNS = { "\n": "⏎", "\t": "⇥" };

function show(element, text) {
  let end = 0;
  for (const hit of text.matchAll(HIDDEN)) {
    const code = hit[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    element.append(text.slice(end, hit.index), make("i", "escape", SIGNS[hit[0]] ?? `⟨U+${code}⟩`));
    end = hit.index + hit[0].length;
  }
  element.append(text.slice(end) || (text ? "" : "∅"));
  return element;
}

function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

function effectClass(index) {
  return index === LEFT_OUT ? "left_out" : BUCKETS[index].action;
}

// ---- documents

function expand(runs, length, Kind) {
  const values = new Kind(length);
  for (let at = 0, next = 0; next < runs.length; next += 2) {
    values.fill(runs[next], at, at + runs[next + 1]);
    at += runs[next + 1];
  }
  return values;
}

const documents = DATA.documents.map((source) => {
  const length = source.tokens.length;
  return {
    name: source.name,
    tokens: source.tokens,
    scores: [source.score, ...source.scores].map((runs) => expand(runs, length, Float64Array)),
    trainable: expand(source.trainable, length, Uint8Array),
    partial: expand(source.partial, length, Uint8Array),
    leftOutBy: expand(source.left_out_by, length, Uint8Array),
    suspects: source.suspects,
    putIn: new Map(source.put_in), // token -> what `replace` puts in place of the text that ends there
    marks: new Map(), // the reader's corrections: token -> whether it is risky
  };
});

// The bucket of each token and the counts, for each side, at the current bounds. A score on a bound is above it.
function classify(doc) {
  doc.sides = state.views.map((view) => {
    const scores = doc.scores[view];
    const buckets = new Uint8Array(doc.tokens.length);
    const counts = new Uint32Array(LEFT_OUT + 1);
    let highest = 0;
    let nearest = Infinity;
    for (let i = 0; i < buckets.length; i++) {
      while (buckets[i] < TOP && scores[i] >= state.bounds[buckets[i]]) buckets[i]++;
      if (scores[i] > highest) highest = scores[i];
      if (doc.trainable[i]) nearest = Math.min(nearest, distance(scores[i]));
      counts[doc.trainable[i] || BUCKETS[buckets[i]].changes_input ? buckets[i] : LEFT_OUT]++;
    }
    return { buckets, counts, highest, nearest };
  });
  doc.differing = 0;
  if (doc.sides.length === 2) {
    const [left, right] = doc.sides;
    for (let i = 0; i < left.buckets.length; i++) doc.differing += left.buckets[i] !== right.buckets[i];
  }
}

// How far a score is from the nearest bound, on the sliders' scale. Scores of 0 and 1 are certain.
function distance(score) {
  if (score <= 0 || score >= 1) return Infinity;
  return Math.min(Infinity, ...state.bounds.map((bound) => Math.abs(toSlider(score) - toSlider(bound))));
}

// Whether the bucket of a token does something else than train.
const risky = (doc, side, i) => BUCKETS[doc.sides[side].buckets[i]].action !== "train";

function effect(doc, side, i) {
  const bucket = doc.sides[side].buckets[i];
  return doc.trainable[i] || BUCKETS[bucket].changes_input ? bucket : LEFT_OUT;
}

// ---- drawing a document, a row of tokens at a time

const rowOf = new WeakMap(); // element -> row
const watcher = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      const row = rowOf.get(target);
      if (!isIntersecting) clear(row);
      else if (!row.tokens) fill(row);
    }
  },
  { rootMargin: "800px 0px" },
);

function draw(doc, index) {
  doc.card = make("details", "document");
  doc.card.open = true;
  doc.card.dataset.document = index;
  doc.counts = make("span", "counts");
  const summary = make("summary");
  summary.append(show(make("bdi", "name"), doc.name), doc.counts);
  const next = make("button", "next", "next risky ↓");
  next.type = "button";
  const read = make("label", "read");
  doc.read = make("input");
  doc.read.type = "checkbox";
  doc.read.addEventListener("input", showMarks);
  read.append(doc.read, " read: its labels are gold");
  doc.heads = make("div", "heads");
  doc.text = make("div", "text");
  doc.text.tabIndex = 0;
  doc.text.setAttribute("role", "group");
  doc.text.setAttribute("aria-label", "tokens; the arrow keys move between them");
  doc.rows = cut(doc).map(([start, end]) => {
    const row = { doc, start, end, element: make("div", "row"), tokens: null };
    const pixels = doc.tokens.slice(start, end).reduce((sum, token) => sum + 9 * token.length + 8, 0);
    row.element.style.minHeight = `${Math.ceil(pixels / 860) * 30}px`; // an estimate, until the row is drawn
    rowOf.set(row.element, row);
    watcher.observe(row.element);
    return row;
  });
  doc.text.append(...doc.rows.map((row) => row.element));
  doc.card.append(summary, next, doc.heads, doc.text, read);
  return doc.card;
}

// Scripts without spaces between words: a line may end between any two of their tokens.
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

// Whether a word begins at a token. It goes on to the next token that begins with a blank, or follows one.
function beginsWord(doc, i) {
  const [before, token] = [doc.tokens[i - 1] ?? " ", doc.tokens[i] ?? " "];
  return /^\s/.test(token) || /\s$/.test(before) || (UNSPACED.test(before) && UNSPACED.test(token));
}

// Rows end at a line break if there is one, or else between words.
function cut(doc) {
  const rows = [];
  let start = 0;
  for (let i = 0; i < doc.tokens.length; i++) {
    const length = i + 1 - start;
    const between = length >= ROW * 2 && (length >= ROW * 4 || beginsWord(doc, i + 1));
    if (between || (length >= ROW && doc.tokens[i].includes("\n"))) {
      rows.push([start, i + 1]);
      start = i + 1;
    }
  }
  if (start < doc.tokens.length) rows.push([start, doc.tokens.length]);
  return rows;
}

function fill(row) {
  const { doc, start, end } = row;
  row.tokens = doc.sides.map(() => []);
  const cells = doc.sides.map((_, side) => {
    const cell = make("div", "cell");
    cell.dir = "auto";
    let word = cell; // lines are only broken between words, or inside one that is longer than a line
    for (let i = start; i < end; i++) {
      if (beginsWord(doc, i)) word = i + 1 < end && !beginsWord(doc, i + 1) ? make("span", "word") : cell;
      if (word !== cell && !word.parentNode) cell.append(word);
      const token = show(make("span"), doc.tokens[i]);
      token.dataset.index = i;
      if (doc.putIn.has(i)) token.dataset.putIn = ` → ${doc.putIn.get(i)}`;
      token.dataset.side = side;
      token.tabIndex = -1;
      row.tokens[side].push(token);
      word.append(token);
      const breaks = doc.tokens[i].split("\n").length - 1;
      for (let k = 0; k < Math.min(breaks, 2); k++) cell.append(make("br"));
      if (breaks) word = cell;
    }
    return cell;
  });
  row.element.replaceChildren(...cells);
  row.element.style.minHeight = "";
  paint(row);
}

function clear(row) {
  if (!row.tokens || row.element.contains(document.activeElement)) return;
  row.element.style.minHeight = `${row.element.offsetHeight}px`;
  row.element.replaceChildren();
  row.tokens = null;
}

function paint(row) {
  const { doc, start } = row;
  row.tokens.forEach((tokens, side) =>
    tokens.forEach((token, k) => {
      const i = start + k;
      const differs = doc.sides.length === 2 && doc.sides[0].buckets[i] !== doc.sides[1].buckets[i];
      const kind = effect(doc, side, i);
      token.className = `token ${effectClass(kind)}`;
      token.classList.toggle("risk", kind === LEFT_OUT && risky(doc, side, i));
      token.classList.toggle("marked_risky", doc.marks.get(i) === true);
      token.classList.toggle("marked_harmless", doc.marks.get(i) === false);
      token.classList.toggle("partial", Boolean(doc.partial[i]));
      token.classList.toggle("differs", differs);
    }),
  );
}
