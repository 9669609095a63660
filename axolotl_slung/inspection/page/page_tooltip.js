// The tooltip of a token, and keyboard navigation between tokens.

let shown = null; // the token that the tooltip describes

function showTooltip(token) {
  const tooltip = byId("tooltip");
  hideTooltip();
  if (!token) return;
  const doc = documents[token.closest(".document").dataset.document];
  const i = Number(token.dataset.index);
  const side = Number(token.dataset.side);
  const bucket = BUCKETS[doc.sides[side].buckets[i]];
  const kind = effectClass(effect(doc, side, i));

  const head = make("p");
  head.append(show(make("bdi", "quoted"), doc.tokens[i]), ` token ${i}`);
  const facts = make("dl");
  const add = (term, ...values) => {
    const value = make("dd");
    value.append(...values);
    facts.append(show(make("dt"), term), value);
  };
  add("action", make("span", `token ${kind}`, kind.replace("_", " ")));
  add("bucket", show(make("bdi"), bucket.name));
  if (doc.weights[i] !== 1) {
    const means = doc.weights[i] === 0 ? " (no loss)" : doc.weights[i] < 0 ? " (unlikelihood where it would be trained)" : "";
    add("weight", `${doc.weights[i]}${means}`);
  }
  doc.scores.forEach((scores, view) => {
    add(VIEWS[view], String(scores[i]));
    if (view === state.views[side]) facts.lastChild.classList.add("current");
  });
  tooltip.replaceChildren(head, facts);
  if (kind === "left_out") {
    const why = DATA.left_out[doc.leftOutBy[i]];
    tooltip.append(make("p", "", `${why}. The action of its bucket is ${bucket.action}.`));
  }
  if (doc.partial[i]) {
    tooltip.append(make("p", "", "With the config's bounds, it has characters in different buckets."));
  }
  if (doc.noise[i]) tooltip.append(make("p", "", `${DATA.noise[doc.noise[i]]}.`));

  shown = token;
  token.setAttribute("aria-describedby", "tooltip");
  const box = token.getBoundingClientRect();
  tooltip.hidden = box.bottom < 0 || box.top > innerHeight;
  const below = box.bottom + 6 + tooltip.offsetHeight < innerHeight;
  tooltip.style.top = `${below ? box.bottom + 6 : Math.max(4, box.top - 6 - tooltip.offsetHeight)}px`;
  tooltip.style.left = `${Math.max(4, Math.min(box.left, innerWidth - tooltip.offsetWidth - 20))}px`;
}

function hideTooltip() {
  shown?.removeAttribute("aria-describedby");
  shown = null;
  byId("tooltip").hidden = true;
}

const tokenAt = (element) => (element instanceof Element ? element.closest(".text .token") : null);

function restoreTooltip() {
  if (shown) showTooltip(shown.isConnected ? shown : null);
}

// Move to the next token, or the next one above the lowest bucket. Wraps around at the ends.
function walk(doc, from, side, direction, risky) {
  const length = doc.tokens.length;
  for (let k = 1; k <= length; k++) {
    const i = (((from + direction * k) % length) + length) % length;
    if (risky && !doc.sides[side].buckets[i]) continue;
    const row = doc.rows.find(({ end }) => i < end);
    if (!row.tokens) fill(row);
    const token = row.tokens[side][i - row.start];
    token.scrollIntoView({ block: "nearest" });
    token.focus({ preventScroll: true });
    return;
  }
}

const KEYS = { ArrowRight: [1, false], ArrowLeft: [-1, false], n: [1, true], p: [-1, true] };

function onKey(event) {
  if (event.key === "Escape") hideTooltip();
  const text = event.target.closest(".text");
  if (!text || !KEYS[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const doc = documents[text.closest(".document").dataset.document];
  const token = tokenAt(event.target);
  const [direction, risky] = KEYS[event.key];
  const start = direction > 0 ? -1 : 0;
  walk(doc, token ? Number(token.dataset.index) : start, token ? Number(token.dataset.side) : 0, direction, risky);
}

function onNext(event) {
  if (!event.target.matches("button.next")) return;
  const doc = documents[event.target.closest(".document").dataset.document];
  walk(doc, doc.last ?? -1, 0, 1, true);
}
