// Suspicious text that is trained, and the reader's corrections, which are exported as gold for `slung qa`.

const MOST_SUSPECTS = 100;

function showSuspects() {
  const times = new Map(); // kind and text -> [kind, text, times]
  for (const doc of documents) {
    for (const [kind, text, start, end] of doc.suspects) {
      let trained = false;
      for (let i = start; i < end; i++) {
        const k = effect(doc, 0, i);
        trained ||= k !== LEFT_OUT && BUCKETS[k].action === "train";
      }
      if (!trained || doc.noise.subarray(start, end).includes(1)) continue; // what label_noise dropped was found
      const key = `${kind} ${text}`;
      if (!times.has(key)) times.set(key, [kind, text, 0]);
      times.get(key)[2]++;
    }
  }
  const ranked = [...times.values()].sort((a, b) => a[0] - b[0] || b[2] - a[2] || (a[1] < b[1] ? -1 : 1));
  byId("suspicious").textContent = count(ranked.length, "text");
  byId("suspects").hidden = !documents.some((doc) => doc.suspects.length);
  const items = ranked.slice(0, MOST_SUSPECTS).map(([kind, text, number]) => {
    const item = make("li");
    const button = show(make("button"), text);
    button.type = "button";
    button.addEventListener("click", () => {
      byId("search").value = byId("search").value === text ? "" : text;
      filter();
    });
    item.append(make("small", "", DATA.kinds[kind]), " ", button, number > 1 ? ` ${number} times` : "");
    return item;
  });
  if (ranked.length > MOST_SUSPECTS) items.push(make("li", "", `and ${ranked.length - MOST_SUSPECTS} more`));
  byId("suspect-list").replaceChildren(...items);
}

// ---- corrections

let lastToken = null; // the token that had the focus, for the buttons

// The tokens that the reader means: those of the selection, or the one with the focus.
function meant() {
  const selection = getSelection();
  if (!selection.isCollapsed && selection.rangeCount) {
    const range = selection.getRangeAt(0);
    const chosen = [...document.querySelectorAll(".text .token")].filter((token) => range.intersectsNode(token));
    if (chosen.length) return chosen;
  }
  const token = tokenAt(document.activeElement) ?? lastToken;
  return token?.isConnected ? [token] : [];
}

function mark(value) {
  const touched = new Set();
  for (const token of meant()) {
    const doc = documents[token.closest(".document").dataset.document];
    const i = Number(token.dataset.index);
    if (value === null) doc.marks.delete(i);
    else doc.marks.set(i, value);
    touched.add(doc);
  }
  getSelection().removeAllRanges();
  for (const doc of touched) {
    for (const row of doc.rows) if (row.tokens) paint(row);
    if (value !== null) doc.read.checked = true;
  }
  showMarks();
}

function showMarks() {
  const gold = documents.filter((doc) => doc.read.checked);
  byId("corrected").textContent = gold.length ? count(gold.length, "document") : "";
  byId("export").disabled = !gold.length;
}

// Spans of a document's risky tokens, corrected, in Unicode code points, as `slung qa` counts them.
function goldOf(doc) {
  const spans = [];
  let at = 0;
  doc.tokens.forEach((token, i) => {
    const length = Array.from(token).length;
    if (doc.marks.get(i) ?? risky(doc, 0, i)) {
      const last = spans.at(-1);
      if (last && last[1] === at) last[1] = at + length;
      else if (length) spans.push([at, at + length]);
    }
    at += length;
  });
  // a token brings the blank before its word, which people do not mark
  const text = doc.tokens.join("");
  const points = Array.from(text);
  for (const span of spans) {
    while (span[0] < span[1] && /\s/.test(points[span[0]])) span[0]++;
    while (span[0] < span[1] && /\s/.test(points[span[1] - 1])) span[1]--;
  }
  return { id: doc.name, text, gold: spans.filter(([start, end]) => start < end) };
}

function goldLines() {
  const lines = documents.filter((doc) => doc.read.checked).map((doc) => JSON.stringify(goldOf(doc)));
  return lines.map((line) => `${line}\n`).join("");
}

function save() {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([goldLines()], { type: "application/jsonl" }));
  link.download = "gold.jsonl";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function startMarks() {
  byId("mark-risky").addEventListener("click", () => mark(true));
  byId("mark-harmless").addEventListener("click", () => mark(false));
  byId("mark-none").addEventListener("click", () => mark(null));
  byId("export").addEventListener("click", save);
  document.addEventListener("keydown", (event) => {
    const values = { "+": true, "-": false, 0: null };
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in values)) return;
    if (event.target.closest("input, select, button, textarea") || !meant().length) return;
    event.preventDefault();
    mark(values[event.key]);
  });
}
