// What the page holds: the index, and chunks of samples that are unpacked when they are needed.

/** The JSON of a block: Base64, then deflate. */
async function unpack(block) {
  const text = block.textContent;
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

const chunks = [...document.querySelectorAll("script.chunk")].map((block) => ({ block, first: Number(block.dataset.first) }));
const KEPT = 24;
const unpacked = new Map();

/** The samples of a chunk. The last few that were asked for are kept. */
function chunk(number) {
  const known = unpacked.get(number);
  if (known) {
    unpacked.delete(number);
    unpacked.set(number, known);
    return known;
  }
  const samples = unpack(chunks[number].block);
  unpacked.set(number, samples);
  if (unpacked.size > KEPT) unpacked.delete(unpacked.keys().next().value);
  return samples;
}

/** A sample by its number. */
async function sampleOf(number) {
  let [low, high] = [0, chunks.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (chunks[middle].first <= number) low = middle;
    else high = middle - 1;
  }
  return (await chunk(low))[number - chunks[low].first];
}

/** The index, and what is chosen: which columns are shown, which rows are listed, where the cursor is. */
const state = {
  index: null,
  shown: new Set(),
  filters: new Set(),
  tag: "",
  suite: 0,
  query: "",
  found: null,
  rows: [],
  cursor: 0,
  open: null,
};

/** Whether a column is shown: it is not hidden, and its suite is the one that is listed. */
const isShown = (column) => state.shown.has(column) && state.index.columns[column].suite === state.suite;

/** What a row says under a column. */
const cellOf = (row, column) => row.cells.find((cell) => cell.column === column);

const STATES = {
  p: { sign: "✓", word: "pass", class: "good" },
  f: { sign: "✗", word: "fail", class: "bad" },
  u: { sign: "?", word: "unscored", class: "unsure" },
  n: { sign: "·", word: "not judged", class: "quiet" },
};
const CUT = 1;
const SILENT = 2;

/** A row against the filters; text is searched elsewhere. */
function passes(row) {
  const cells = row.cells.filter((cell) => isShown(cell.column));
  const any = (test) => cells.some(test);
  if (cells.length === 0) return false;
  for (const filter of state.filters) {
    if (!FILTERS[filter].test(any, row)) return false;
  }
  if (state.tag !== "" && !row.tags.includes(Number(state.tag))) return false;
  return state.found === null || state.found.has(row);
}

const FILTERS = {
  failed: { label: "Failed", hint: "a shown variant fails it: some scorer does not pass", test: (any) => any((cell) => cell.state === "f") },
  flipped: {
    label: "Flipped",
    hint: "shown variants disagree, or the gate saw it change",
    test: (any, row) =>
      (any((cell) => cell.state === "p") && any((cell) => cell.state === "f")) || Boolean(row.changed?.length),
  },
  unscored: { label: "Unscored", hint: "could not be asked or judged", test: (any) => any((cell) => cell.state === "u") },
  cut: { label: "Cut", hint: "an answer was ended by max_tokens", test: (any) => any((cell) => (cell.flags & CUT) !== 0) },
};
