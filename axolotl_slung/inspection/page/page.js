// Filters, updates after the bounds or sides change, and the start.

// ---- filters

// The choices of the filter "with", each with its test.
const HAVING = [
  ["anything", () => true],
  ...BUCKETS.map((bucket, k) => [`bucket ${bucket.name}`, (doc) => doc.sides.some((side) => side.counts[k])]),
  ...[...new Set(BUCKETS.map((bucket) => bucket.action))].map((action) => [
    `action ${action}`,
    (doc) => doc.sides.some((side) => BUCKETS.some((bucket, k) => bucket.action === action && side.counts[k])),
  ]),
  ["tokens left out", (doc) => doc.sides.some((side) => side.counts[LEFT_OUT])],
  ["tokens in different buckets", (doc) => doc.partial.includes(1)],
  ["labelers that differ", (doc) => doc.differing],
];

function fits(doc) {
  const lowest = byId("lowest").valueAsNumber || 0;
  if (!doc.sides.some((side) => side.highest >= lowest)) return false;
  if (!HAVING[byId("having").selectedIndex][1](doc)) return false;
  const wanted = byId("search").value.toLowerCase();
  if (!wanted) return true;
  doc.lower ??= `${doc.name}\0${doc.tokens.join("")}`.toLowerCase();
  return doc.lower.includes(wanted);
}

// File order, or the documents first that have a score near a bound.
function sort() {
  const nearest = (doc) => Math.min(...doc.sides.map((side) => side.nearest));
  const order = [...documents];
  if (byId("sort").value === "nearness") order.sort((a, b) => nearest(a) - nearest(b) || 0);
  byId("documents").append(...order.map((doc) => doc.card));
}

function filter() {
  let matches = 0;
  for (const doc of documents) {
    doc.card.hidden = !fits(doc);
    matches += !doc.card.hidden;
  }
  byId("matches").textContent = `${matches.toLocaleString("en")} of ${count(documents.length, "document")}`;
  byId("nothing").hidden = matches > 0;
}

// ---- updates after the bounds or sides change

function update() {
  const zeros = () => new Float64Array(LEFT_OUT + 1);
  const totals = state.views.map(() => ({ tokens: zeros(), documents: zeros() }));
  let differing = 0;
  let all = 0;
  for (const doc of documents) {
    classify(doc);
    doc.sides.forEach((side, s) =>
      side.counts.forEach((number, k) => {
        totals[s].tokens[k] += number;
        totals[s].documents[k] += number > 0;
      }),
    );
    differing += doc.differing;
    all += doc.tokens.length;
    showCounts(doc);
    for (const row of doc.rows) if (row.tokens) paint(row);
  }
  legend.forEach((place, k) => {
    const text = ({ tokens, documents: n }) =>
      `${count(tokens[k], "token")} (${percent(tokens[k], all)}) in ${count(n[k], "document")}`;
    place.replaceChildren(...totals.map((total) => make("span", "", text(total))));
  });
  showRisk();
  showSuspects();
  byId("differences").textContent = state.views.length === 2 ? `${count(differing, "token")} differ` : "";
  byId("yaml").replaceChildren(yaml());
  byId("reset").hidden = state.bounds.every((bound, k) => bound === CONFIG_BOUNDS[k]);
  filter();
  restoreTooltip();
}

function showRisk() {
  let number = 0;
  for (const doc of documents) {
    for (let i = 0; i < doc.tokens.length; i++) number += effect(doc, 0, i) === LEFT_OUT && risky(doc, 0, i);
  }
  byId("risk").hidden = !number;
  byId("risk").querySelector("output").textContent = count(number, "token");
}

function percent(part, whole) {
  const value = whole ? (100 * part) / whole : 0;
  return `${value === 0 || value >= 0.1 ? value.toFixed(1) : value.toPrecision(1)}%`;
}

function showCounts(doc) {
  const { counts } = doc.sides[0];
  const kinds = new Map(); // buckets with the same action share a chip
  counts.forEach((number, k) => kinds.set(effectClass(k), (kinds.get(effectClass(k)) ?? 0) + number));
  const chip = ([kind, number]) =>
    make("span", `token ${kind}`, `${number.toLocaleString("en")} ${kind.replace("_", " ")}`);
  doc.counts.replaceChildren(
    make("span", "total", count(doc.tokens.length, "token")),
    ...[...kinds].filter(([, number]) => number).map(chip),
  );
  if (doc.differing) doc.counts.append(make("span", "differing", `${count(doc.differing, "token")} differ`));
  const dropped = BUCKETS.some((bucket, k) => bucket.action === "drop_document" && counts[k]);
  doc.card.classList.toggle("dropped", dropped);
  if (dropped) doc.counts.append(make("strong", "", "dropped whole"));
}

function chooseSides() {
  const right = byId("right").selectedIndex - 1;
  state.views = right < 0 ? [byId("left").selectedIndex] : [byId("left").selectedIndex, right];
  for (const doc of documents) classify(doc);
  for (const doc of documents) {
    doc.text.classList.toggle("two", right >= 0);
    doc.heads.hidden = right < 0;
    doc.heads.replaceChildren(...state.views.map((view) => show(make("span"), VIEWS[view])));
    for (const row of doc.rows) if (row.tokens) fill(row);
  }
  update();
}

// ---- start

function start() {
  show(byId("title"), DATA.title);
  document.title = byId("title").textContent;
  const tokens = documents.reduce((sum, doc) => sum + doc.tokens.length, 0);
  byId("summary").textContent =
    `What the loss will do with ${count(tokens, "token")} of ${count(documents.length, "document")}.`;
  for (const [name, note] of DATA.notes) {
    const pair = make("div");
    pair.append(show(make("dt"), name), show(make("dd"), note));
    byId("notes").append(pair);
  }

  byId("having").append(...HAVING.map(([name]) => show(make("option"), name)));
  byId("left").append(...VIEWS.map((name) => show(make("option"), name)));
  byId("right").append(make("option", "", "nothing"), ...VIEWS.map((name) => show(make("option"), name)));
  byId("compare").hidden = DATA.labelers.length < 2;
  const narrow = matchMedia("(max-width: 860px)").matches; // otherwise the documents would be far below the panel
  for (const details of document.querySelectorAll("aside details")) details.open = !narrow;
  drawBuckets();
  for (const doc of documents) classify(doc);
  byId("documents").append(...documents.map(draw));
  chooseSides();
  syncKnobs();

  for (const id of ["search", "having", "lowest"]) byId(id).addEventListener("input", filter);
  byId("sort").addEventListener("input", sort);
  startMarks();
  for (const id of ["left", "right"]) byId(id).addEventListener("input", chooseSides);
  byId("reset").addEventListener("click", () => {
    state.bounds = [...CONFIG_BOUNDS];
    syncKnobs();
    update();
  });
  byId("copy").addEventListener("click", copy);
  for (const id of ["open", "close"]) {
    byId(id).addEventListener("click", () => documents.forEach((doc) => (doc.card.open = id === "open")));
  }
  const list = byId("documents");
  list.addEventListener("pointerover", (event) => tokenAt(event.target) && showTooltip(tokenAt(event.target)));
  list.addEventListener("pointerout", () => showTooltip(tokenAt(document.activeElement)));
  list.addEventListener("focusin", (event) => {
    const token = tokenAt(event.target);
    showTooltip(token);
    if (!token) return;
    lastToken = token;
    token.tabIndex = 0; // while it has the focus, so that Tab continues from here
    documents[token.closest(".document").dataset.document].last = Number(token.dataset.index);
  });
  list.addEventListener("focusout", (event) => {
    const token = tokenAt(event.target);
    if (token) token.tabIndex = -1;
    hideTooltip();
  });
  list.addEventListener("click", (event) => tokenAt(event.target)?.focus({ preventScroll: true }));
  list.addEventListener("click", onNext);
  document.addEventListener("keydown", onKey);
  document.addEventListener("scroll", restoreTooltip, { passive: true });
}

start();
