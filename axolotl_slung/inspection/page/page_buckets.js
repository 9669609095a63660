// The buckets: the legend with its counts, a slider between two of them, and both as YAML.

// ---- buckets: the legend, with a slider between two

// Sliders use the scale log10(p / (1 - p)), which resolves 1e-4 as well as 0.9999.
const REACH = 6;
const STEP = 0.02;
const toSlider = (p) => Math.min(REACH, Math.max(-REACH, Math.log10(p / (1 - p))));

function fromSlider(position) {
  if (position >= REACH) return 1;
  const p = 1 / (1 + 10 ** -position);
  return Number((p < 0.5 ? p.toPrecision(3) : (1 - (1 - p).toPrecision(3)).toPrecision(12)));
}

const legend = []; // the element with the counts, for each bucket and for the tokens left out
const knobs = []; // the slider and the number field of each bound

function drawBuckets() {
  BUCKETS.forEach((bucket, k) => {
    byId("buckets").append(legendRow(bucket.action, bucket.name, bucket.meaning));
    if (k < TOP) byId("buckets").append(knob(k));
  });
  const present = new Set(documents.flatMap((doc) => [...doc.leftOutBy.filter((_, i) => !doc.trainable[i])]));
  const reasons = DATA.left_out.filter((_, by) => present.has(by));
  byId("buckets").append(legendRow("left_out", "left out", reasons.join("; ")));
  const risk = make("li", "marks");
  risk.id = "risk";
  risk.append(make("span", "token left_out risk", "a"), " is risky, but only context: ", make("output"));
  byId("buckets").append(risk);
  const marks = make("li", "marks");
  const partial = make("span", "token left_out partial", "a");
  marks.append(partial, " has characters in different buckets of the config");
  marks.hidden = !documents.some((doc) => doc.partial.includes(1));
  byId("buckets").append(marks);
  const weighed = (chosen) =>
    documents.reduce((sum, doc) => sum + doc.weights.filter((one, i) => doc.trainable[i] && chosen(one)).length, 0);
  const none = `0 leaves none (tokens: ${weighed((one) => one === 0)})`;
  const below = `below 0 makes it unlikelihood (tokens: ${weighed((one) => one < 0)})`;
  const about = `× after tokens: the weight that multiplies their loss; ${none}, ${below}. The counts are by bucket, whatever the weight`;
  const weights = make("li", "marks", about);
  weights.id = "weights";
  weights.hidden = documents.every((doc) => doc.weightMarks.every((mark) => !mark));
  byId("buckets").append(weights);
  ["", "missed", "false"].forEach((kind, noise) => {
    const number = documents.reduce((sum, doc) => sum + doc.noise.filter((one) => one === noise).length, 0);
    if (!noise || !number) return;
    const row = make("li", "marks");
    row.append(make("span", `token left_out ${kind}`, "a"), ` ${DATA.noise[noise]}: ${count(number, "token")}`);
    byId("buckets").append(row);
  });
}

function legendRow(kind, name, meaning) {
  const row = make("li", "bucket");
  const counts = make("span", "counts");
  const chip = make("span", `token ${kind}`, kind.replace("_", " "));
  row.append(chip, show(make("bdi", "name"), name), counts, make("small", "", meaning));
  legend.push(counts);
  return row;
}

function knob(k) {
  const row = make("li", "bound");
  const slider = make("input");
  Object.assign(slider, { type: "range", min: -REACH, max: REACH, step: STEP });
  const number = make("input");
  Object.assign(number, { type: "number", min: 0, max: 1, step: "any" });
  const label = `score at which ${BUCKETS[k].name} ends`;
  slider.setAttribute("aria-label", label);
  number.setAttribute("aria-label", label);
  slider.addEventListener("input", () => {
    const low = k ? toSlider(state.bounds[k - 1]) + STEP : -REACH;
    const high = k < TOP - 1 ? toSlider(state.bounds[k + 1]) - STEP : REACH;
    setBound(k, fromSlider(Math.min(high, Math.max(low, slider.valueAsNumber))));
    syncKnobs();
  });
  number.addEventListener("input", () => {
    const fits = setBound(k, number.valueAsNumber);
    number.setCustomValidity(fits ? "" : "Bounds must be above 0, at most 1, and ascending.");
    if (fits) slider.value = toSlider(state.bounds[k]);
  });
  number.addEventListener("change", syncKnobs);
  knobs.push({ slider, number });
  row.append(slider, number);
  return row;
}

function setBound(k, value) {
  const low = k ? state.bounds[k - 1] : 0;
  const high = k < TOP - 1 ? state.bounds[k + 1] : 2;
  if (!(low < value && value < high && value <= 1)) return false;
  state.bounds[k] = value;
  update();
  return true;
}

function syncKnobs() {
  knobs.forEach(({ slider, number }, k) => {
    slider.value = toSlider(state.bounds[k]);
    slider.setAttribute("aria-valuetext", String(state.bounds[k]));
    number.value = state.bounds[k];
    number.setCustomValidity("");
  });
}

// ---- the buckets as YAML

const yamlNumber = (value) => String(value).replace(/^(-?\d+)e/, "$1.0e"); // YAML reads 1e-7 as a string

function yamlText(text) {
  if (/^(?!(?:true|false|yes|no|on|off|null|y|n)$)[a-z]\w*$/i.test(text)) return text;
  const escape = (c) => `\\U${c.codePointAt(0).toString(16).padStart(8, "0")}`;
  return `"${text.replace(/[\\"]/g, "\\$&").replace(/[^ -~]/gu, escape)}"`;
}

// A score on the scale of the config's bounds, as a score of a labeler with these cuts. `moved` in scores.py is the inverse.
function unmoved(score, cuts) {
  const scale = [0, ...CONFIG_BOUNDS, 1];
  const own = [0, ...cuts, 1];
  if (cuts.every((cut, i) => cut === CONFIG_BOUNDS[i])) return Math.min(score, 1 - 1e-6);
  let k = 1;
  while (k < scale.length - 1 && score >= scale[k]) k++;
  const place = own[k - 1] + ((score - scale[k - 1]) / (scale[k] - scale[k - 1])) * (own[k] - own[k - 1]);
  return Math.min(Number(place.toPrecision(6)), 1 - 1e-6); // cuts lie below 1
}

function yaml() {
  if (DATA.cuts) {
    const pair = (cuts) => `[${state.bounds.map((bound) => yamlNumber(unmoved(bound, cuts))).join(", ")}]`;
    const lines = DATA.cuts.map(([name, cuts]) => `  ${yamlText(name)}: ${cuts === "any" ? cuts : pair(cuts)}`);
    if (!lines.length) return "# whatever these labelers find is risky, with any bounds";
    return ["# the key `cuts` of each labeler", "cuts:", ...lines].join("\n");
  }
  const lines = BUCKETS.map((bucket, k) => {
    const keys = [`name: ${yamlText(bucket.name)}`];
    if (k < TOP) keys.push(`below: ${yamlNumber(state.bounds[k])}`);
    keys.push(`action: ${bucket.action}`);
    for (const [key, value] of Object.entries(bucket.options)) {
      keys.push(`${key}: ${typeof value === "number" ? yamlNumber(value) : yamlText(value)}`);
    }
    return `    - {${keys.join(", ")}}`;
  });
  return ["slung:", "  buckets:", ...lines].join("\n");
}

async function copy() {
  try {
    await navigator.clipboard.writeText(yaml());
    byId("copy").textContent = "copied";
  } catch {
    getSelection().selectAllChildren(byId("yaml")); // the browser forbids copying: the user presses one key
    byId("copy").textContent = "selected";
  }
  setTimeout(() => (byId("copy").textContent = "copy"), 1500);
}
