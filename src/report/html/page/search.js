// Text search over everything that was asked and said. The first search unpacks every chunk once and keeps the texts.

const SLICE_MS = 12;
let haystacks = null;
let searching = 0;

/** Every text in a value. */
function texts(value, into) {
  if (typeof value === "string") into.push(value);
  else if (Array.isArray(value)) value.forEach((one) => texts(one, into));
  else if (value && typeof value === "object") Object.values(value).forEach((one) => texts(one, into));
  return into;
}

/** What of a sample is searched; a shared beginning of its prompt is searched once, for all. */
function haystackOf(sample) {
  const row = state.index.rows[sample.row];
  const into = [row.id, sample.target ?? ""];
  texts(sample.vars, into);
  const stages = [...(sample.before ?? []), { prompt: sample.prompt, answer: sample.answer }];
  for (const { prompt, answer } of stages) {
    if (prompt) into.push(seam(prompt) + prompt.text);
    if (answer) into.push(answer.text);
  }
  for (const one of sample.likelihood ?? []) into.push(one.text);
  for (const score of sample.scores) into.push(score.answer ?? "", score.explanation ?? "", texts(score.value, []).join(" "));
  return into.join("\n").toLowerCase();
}

/** The end of the shared beginning: a match may lie across it. */
const seam = (prompt) => (prompt.prefix === undefined ? "" : state.index.prefixes[prompt.prefix].slice(-200));

/** All texts, by chunk: for each sample its row, its column, what is searched, and its prompt's shared beginnings. */
async function haystacksOf(number) {
  haystacks ??= [];
  haystacks[number] ??= (await unpack(chunks[number].block)).map((sample) => ({
    row: state.index.rows[sample.row],
    column: sample.column,
    text: haystackOf(sample),
    prefixes: [...(sample.before ?? []).map((stage) => stage.prompt), sample.prompt].map((prompt) => prompt?.prefix),
  }));
  return haystacks[number];
}

/** Finds the rows with a text and lists them as they are found. `more` is called now and then with the share done. */
async function search(query, more) {
  const mine = ++searching;
  const needle = query.trim().toLowerCase();
  if (needle === "") {
    state.found = null;
    more(1);
    return;
  }
  const found = new Set();
  const shared = state.index.prefixes.map((text) => text.toLowerCase().includes(needle));
  let since = performance.now();
  for (let number = 0; number < chunks.length; number++) {
    for (const sample of await haystacksOf(number)) {
      if (!isShown(sample.column) || found.has(sample.row)) continue;
      if (sample.text.includes(needle) || sample.prefixes.some((prefix) => shared[prefix])) found.add(sample.row);
    }
    if (mine !== searching) return;
    if (performance.now() - since > SLICE_MS) {
      state.found = found;
      more((number + 1) / chunks.length);
      await new Promise((go) => setTimeout(go));
      since = performance.now();
      if (mine !== searching) return;
    }
  }
  state.found = found;
  more(1);
}
