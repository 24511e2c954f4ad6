// One case as every shown variant answered it, side by side.

const seconds = (value) => (value >= 1 ? `${value.toFixed(1)} s` : `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms`);
const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** A prompt: its few-shot block folded and dimmed, the case in full. */
function promptNode(prompt) {
  const shared = prompt.prefix === undefined ? "" : state.index.prefixes[prompt.prefix];
  const whole = shared + prompt.text;
  const [block, own] = [whole.slice(0, prompt.case), whole.slice(prompt.case)];
  const parts = [];
  if (block.trim() !== "") {
    const lines = block.trimEnd().split("\n").length;
    parts.push(make("details", { class: "block", open: view.blocks },
      make("summary", {}, `few-shot block, ${lines} ${lines === 1 ? "line" : "lines"}`), make("pre", { class: "shots" }, block)));
  }
  parts.push(make("pre", { class: "own" }, make("span", { class: "label" }, "case"), own));
  parts.push(tokensNode(prompt.tokens, "prompt"));
  return make("div", { class: "prompt" }, parts);
}

function tokensNode(tokens, what) {
  if (!tokens.length) return null;
  return make("details", { class: "ids" }, make("summary", {}, `${tokens.length} ${what} tokens`), make("code", {}, tokens.join(" ")));
}

/** The texts whose likelihood was asked: their share of the probability as bars. */
function likelihoodNode(sample) {
  const all = sample.likelihood;
  if (!sample.prompt) {
    const rows = all.map((one) => make("tr", {}, make("td", { class: "number" }, one.logprob?.toFixed(2) ?? "−∞"),
      make("td", { class: "number" }, one.tokens), make("td", {}, make("pre", {}, one.text.slice(0, 400)))));
    return make("table", { class: "windows" }, make("thead", {}, make("tr", {}, make("th", {}, "log p"), make("th", {}, "tokens"),
      make("th", {}, "window"))), make("tbody", {}, rows));
  }
  const most = Math.max(...all.map((one) => one.logprob ?? -Infinity));
  const weights = all.map((one) => (one.logprob === null ? 0 : Math.exp(one.logprob - most)));
  const total = weights.reduce((sum, weight) => sum + weight, 0) || 1;
  const target = state.index.rows[sample.row].target;
  const rows = all.map((one, number) => {
    const share = weights[number] / total;
    const right = target !== null && one.text.trim() === target.trim();
    return make("tr", { class: one.logprob === most ? "drawn" : null },
      make("td", {}, one.logprob === most ? "▸" : ""),
      make("td", {}, make("code", {}, one.text.trim()), right ? make("span", { class: "quiet" }, " target") : null),
      make("td", {}, make("meter", { min: 0, max: 1, value: share })),
      make("td", { class: "number" }, percent(share)),
      make("td", { class: "number quiet", title: "log-probability" }, one.logprob === null ? "−∞" : one.logprob.toFixed(2)));
  });
  return make("table", { class: "likelihood" }, make("caption", { class: "quiet" }, "likelihood of the candidates"), make("tbody", {}, rows));
}

/** How likely a classifier finds each label, as bars; the likeliest is its answer. */
function labelsNode(probabilities, target) {
  const all = Object.entries(probabilities);
  const most = Math.max(...all.map(([, share]) => share));
  const rows = all.map(([label, share]) => make("tr", { class: share === most ? "drawn" : null },
    make("td", {}, share === most ? "▸" : ""),
    make("td", {}, make("code", {}, label), label === target ? make("span", { class: "quiet" }, " target") : null),
    make("td", {}, make("meter", { min: 0, max: 1, value: share })),
    make("td", { class: "number" }, percent(share))));
  return make("table", { class: "likelihood" }, make("caption", { class: "quiet" }, "what the classifier says"), make("tbody", {}, rows));
}

/** What the scorers said. */
function scoresNode(sample) {
  const rows = sample.scores.map((score) => {
    const { value } = score;
    const unscored = value?.unscored !== undefined;
    const known = value === true ? STATES.p : value === false ? STATES.f : unscored ? STATES.u : null;
    const shown = known ? `${known.sign} ${known.word}` : typeof value === "number" ? value.toFixed(4) : plain(value);
    const silent = value === false && score.answer === null;
    const why = [unscored ? value.unscored : score.explanation ?? "", silent ? "no answer could be read" : ""].filter(Boolean).join("; ");
    const parts = Object.entries(score.parts ?? {}).filter(([, part]) => typeof part === "number");
    const probabilities = score.parts?.probabilities;
    return make("div", { class: "score" },
      make("span", { class: "quiet" }, score.scorer), " ",
      make("b", { class: `verdict ${known?.class ?? ""}` }, shown),
      score.answer !== null && score.answer !== undefined ? [" read ", make("code", {}, score.answer)] : null,
      probabilities ? labelsNode(probabilities, state.index.rows[sample.row].target)
        : why ? make("div", { class: "why" }, why) : null,
      parts.length ? make("div", { class: "why" }, parts.map(([name, part]) => `${name} ${part.toFixed(3)}`).join(" · ")) : null);
  });
  return make("div", { class: "scores" }, rows);
}

function saidNode(answer, pieces, cached) {
  const cost = [`${answer.tokens.length} tokens`, answer.stop === "length" ? null : "stopped", answer.elapsed_s ? seconds(answer.elapsed_s) : null, cached ? "from the cache" : null];
  return make("div", {},
    make("h4", {}, "Answer ", make("span", { class: "quiet" }, cost.filter(Boolean).join(" · ")),
      answer.stop === "length" ? make("span", { class: "flag" }, "cut by max_tokens") : null),
    answerNode(answer, pieces),
    answer.drawn ? null : tokensNode(answer.tokens, "answer"));
}

/** A sample, from its prompt to its scores. */
function sampleNode(sample, several, same) {
  const pieces = sample.pieces ?? {};
  const parts = [];
  if (several) parts.push(make("h4", { class: "repeat" }, sample.repeat === "reduced" ? "All repeats together" : `Repeat ${sample.repeat + 1}`));
  (sample.before ?? []).forEach((stage, number) => {
    parts.push(make("h4", {}, `Stage ${number + 1}`), promptNode(stage.prompt), saidNode(stage.answer, pieces, false));
  });
  if (sample.before) parts.push(make("h4", {}, `Stage ${sample.before.length + 1}`));
  if (sample.repeat !== "reduced") {
    if (sample.prompt && same) parts.push(make("p", { class: "quiet" }, "the same prompt"));
    else if (sample.prompt) parts.push(promptNode(sample.prompt));
    if (sample.answer) parts.push(saidNode(sample.answer, pieces, sample.cached));
    else if (!sample.likelihood && !sample.scores.some((score) => score.value?.unscored === undefined)) {
      parts.push(make("p", { class: "quiet" }, "not asked"));
    }
  }
  if (sample.likelihood) parts.push(likelihoodNode(sample));
  parts.push(scoresNode(sample));
  return make("div", { class: "sample" }, parts);
}

/** Whether a repeat was asked in the same words as the one before it. */
const samePrompt = (one, before) =>
  Boolean(one.prompt && before?.prompt) && one.prompt.text === before.prompt.text && one.prompt.prefix === before.prompt.prefix;

/** A column of the case: the variant's name, its verdict, and its samples. */
async function columnNode(row, number) {
  const column = state.index.columns[number];
  const cell = cellOf(row, number);
  const head = make("h3", { title: column.label }, column.label);
  if (!cell) return make("section", { class: "column", "aria-label": column.label }, head, make("p", { class: "quiet" }, "not asked"));
  const known = STATES[cell.state];
  head.append(make("span", { class: `verdict ${known.class}` }, `${known.sign} ${known.word}`));
  const samples = await Promise.all(cell.samples.map(sampleOf));
  const several = samples.length > 1;
  if (several) head.append(make("span", { class: "quiet" }, `${cell.passed[0]} of ${cell.passed[1]} pass`));
  // What repeats come to stands first.
  samples.sort((a, b) => (a.repeat === "reduced" ? -1 : b.repeat === "reduced" ? 1 : a.repeat - b.repeat));
  return make("section", { class: "column", "aria-label": column.label, "data-column": number }, head, samples.map((one, at) => sampleNode(one, several, samePrompt(one, samples[at - 1]))));
}

/** What the case itself is: variables, target, tags, and what the gate saw. */
function factsNode(row, first) {
  const pairs = Object.entries(first.vars ?? {}).map(([name, value]) => [make("dt", {}, name), make("dd", {}, plain(value))]);
  if (first.target !== undefined) pairs.push([make("dt", {}, "target"), make("dd", {}, make("code", { class: "target" }, first.target))]);
  if (row.tags.length) pairs.push([make("dt", {}, "tags"), make("dd", {}, row.tags.map((tag) => state.index.tags[tag]).join(", "))]);
  const changed = (row.changed ?? []).map(([number, from, to]) => {
    const { metric, baseline, candidate } = state.index.comparisons[number];
    return [make("dt", {}, "changed"), make("dd", {}, `${metric} of ${candidate}: ${from} → ${to}, against ${baseline}`)];
  });
  return make("dl", { class: "vars" }, pairs, changed);
}

/** Opens a case; `variant` is the column that is brought into view. */
async function openCase(row, variant) {
  const dialog = byId("case");
  state.open = row;
  const number = state.rows.indexOf(row);
  const shown = state.index.columns.map((_, number) => number).filter((column) => isShown(column) && cellOf(row, column));
  const [first, ...columns] = await Promise.all([sampleOf(row.cells[0].samples[0]), ...shown.map((column) => columnNode(row, column))]);
  if (state.open !== row) return;
  showTip(null);
  const toggle = (name, label, key) => make("button", { type: "button", "aria-pressed": String(view[name]), title: `${label} (${key})`,
    onclick: () => toggleView(name) }, label);
  const tools = [
    make("button", { type: "button", title: "previous case (k)", "aria-label": "previous case", onclick: () => step(-1) }, "↑"),
    make("button", { type: "button", title: "next case (j)", "aria-label": "next case", onclick: () => step(1) }, "↓"),
    toggle("steps", "steps", "s"), toggle("tint", "certainty", "t"),
    make("button", { type: "button", title: "close (Escape)", "aria-label": "close", onclick: () => dialog.close() }, "✕"),
  ];
  const legend = columns.some((column) => column.querySelector(".token"))
    ? make("p", { class: "legend" }, "how sure the model was of a token: ",
      [["t0", "≥ 90 %"], ["t1", "≥ 60 %"], ["t2", "≥ 30 %"], ["t3", "≥ 10 %"], ["t4", "less"]].map(([name, text]) => [make("span", { class: `token ${name}` }, text), " "]),
      make("span", { class: "token other" }, "boxed"), " another was likelier · hover, tap, or ← → for the alternatives")
    : null;
  dialog.replaceChildren(
    make("header", {}, make("h2", { id: "case-title" }, row.id), make("span", { class: "quiet" }, number < 0 ? "" : `${number + 1} of ${state.rows.length}`), make("div", { class: "tools" }, tools)),
    make("div", { class: "body", tabindex: -1 }, factsNode(row, first), legend, make("div", { class: "columns" }, columns)));
  if (!dialog.open) dialog.showModal();
  dialog.querySelector(".body").focus();
  const wanted = variant === undefined ? null : dialog.querySelector(`[data-column="${variant}"]`);
  if (wanted) wanted.parentNode.scrollLeft = wanted.offsetLeft - wanted.parentNode.offsetLeft;
  const name = variant === undefined ? "" : `&variant=${encodeURIComponent(state.index.columns[variant].label)}`;
  history.replaceState(null, "", `#case=${encodeURIComponent(row.id)}${name}`);
}

function toggleView(name) {
  view[name] = !view[name];
  if (state.open) openCase(state.open);
}

/** Goes to another case of the list. */
function step(by) {
  const at = Math.max(0, Math.min(state.rows.length - 1, state.rows.indexOf(state.open) + by));
  if (!state.rows[at] || state.rows[at] === state.open) return;
  moveTo(at);
  openCase(state.rows[at]);
}

byId("case").addEventListener("close", () => {
  state.open = null;
  showTip(null);
  history.replaceState(null, "", "#samples");
  if (document.activeElement !== byId("query")) document.querySelector("#list .rows")?.focus({ preventScroll: true });
});
