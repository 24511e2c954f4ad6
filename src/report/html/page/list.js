// The list of cases: filters, and a table of which only the rows in view exist.

const AROUND = 8;
let height = 30;

/** The bar of filters, for the suite that is listed. */
function drawFilters() {
  const { columns, tags, suites } = state.index;
  const rows = state.index.rows.filter((row) => row.suite === state.suite);
  const counts = (filter) => rows.filter((row) => FILTERS[filter].test((test) => row.cells.some(test), row)).length;
  const buttons = Object.entries(FILTERS).map(([name, { label, hint }]) => {
    const count = counts(name);
    return make("button", { type: "button", id: `filter-${name}`, title: hint, "aria-pressed": String(state.filters.has(name)),
      disabled: count === 0 && !state.filters.has(name), onclick: (event) => press(event.currentTarget, state.filters, name) },
      label, make("span", { class: "count" }, count));
  });
  const used = new Set(rows.flatMap((row) => row.tags));
  const choice = used.size === 0 ? null : make("select", { id: "filter-tag", "aria-label": "Only cases with a tag",
    onchange: (event) => { state.tag = event.target.value; list(); } },
    make("option", { value: "" }, "any tag"), [...used].map((tag) => make("option", { value: tag }, tags[tag])));
  const suite = suites.length < 2 ? null : make("select", { id: "filter-suite", "aria-label": "Suite",
    onchange: (event) => { state.suite = Number(event.target.value); state.tag = ""; drawFilters(); list(); } },
    suites.map((name, number) => make("option", { value: number, selected: number === state.suite }, name)));
  const own = [...columns.keys()].filter((column) => columns[column].suite === state.suite);
  const chips = own.length < 2 ? null : make("div", { class: "chips", role: "group", "aria-label": "Variants shown" },
    own.map((number) => make("button", { type: "button", class: "chip", "aria-pressed": String(state.shown.has(number)),
      title: `show or hide ${columns[number].label}`, onclick: (event) => press(event.currentTarget, state.shown, number) }, columns[number].label)));
  byId("filters").replaceChildren(...[
    make("input", { id: "query", type: "search", placeholder: "Search prompts, answers, variables   /", value: state.query,
      "aria-label": "Search prompts, answers and variables", maxlength: 200, autocomplete: "off", spellcheck: "false",
      oninput: (event) => { state.query = event.target.value; list(); } }),
    suite, make("div", { class: "buttons", role: "group", "aria-label": "Only cases that are" }, buttons), choice, chips].filter(Boolean));
}

/** Turns a button, and what it stands for, on or off. */
function press(button, set, name) {
  const on = !set.has(name);
  on ? set.add(name) : set.delete(name);
  button.setAttribute("aria-pressed", String(on));
  list();
}

/** Finds the rows that are listed, and draws them. */
function list() {
  search(state.query, (done) => {
    const all = state.index.rows.filter((row) => row.suite === state.suite);
    state.rows = all.filter(passes);
    state.cursor = Math.max(0, Math.min(state.cursor, state.rows.length - 1));
    const searched = done < 1 ? `, searching ${Math.round(done * 100)} %` : "";
    const samples = all.reduce((sum, row) => sum + row.cells.reduce((own, cell) => own + cell.samples.length, 0), 0);
    byId("count").textContent = `${state.rows.length.toLocaleString("en")} of ${all.length.toLocaleString("en")} cases, ${samples.toLocaleString("en")} samples${searched}`;
    drawHead();
    redraw();
    mark();
  });
}

const shownColumns = () => [...state.index.columns.keys()].filter(isShown);

function drawList() {
  const rows = make("div", { class: "rows", tabindex: 0, role: "grid", "aria-label": "Cases", onscroll: drawRows },
    make("div", { class: "space", role: "presentation" }));
  rows.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (!row || getSelection().toString()) return;
    moveTo(Number(row.dataset.at));
    const cell = event.target.closest("[data-cell]");
    openCase(state.rows[state.cursor], cell ? Number(cell.dataset.cell) : undefined);
  });
  byId("list").replaceChildren(make("div", { class: "head", "aria-hidden": "true" }), rows);
  new ResizeObserver(redraw).observe(byId("list"));
}

function drawHead() {
  const columns = shownColumns();
  byId("list").style.setProperty("--columns", columns.length);
  byId("list").querySelector(".head").replaceChildren(
    make("span", { class: "id" }, "case"), make("span", { class: "title" }, "asked"), make("span", { class: "target" }, "target"),
    make("span", { class: "cells" }, columns.map((column) => make("span", { class: "cell", title: state.index.columns[column].label }, state.index.columns[column].label))));
}

/** The rows that exist, by their place in the list. */
const drawn = new Map();

/** Draws the list anew: other rows, other columns, or another size. */
function redraw() {
  const box = document.querySelector("#list .rows");
  if (!box) return;
  height = parseFloat(getComputedStyle(box).getPropertyValue("--height")) || height;
  for (const node of drawn.values()) node.remove();
  drawn.clear();
  box.firstChild.style.height = `${state.rows.length * height}px`;
  box.setAttribute("aria-rowcount", state.rows.length);
  drawRows();
}

/** Makes the rows that came into view, and drops those that left it. */
function drawRows() {
  const box = document.querySelector("#list .rows");
  const first = Math.max(0, Math.floor(box.scrollTop / height) - AROUND);
  const last = Math.min(state.rows.length, Math.ceil((box.scrollTop + box.clientHeight) / height) + AROUND);
  for (const [at, node] of drawn) {
    if (at >= first && at < last) continue;
    node.remove();
    drawn.delete(at);
  }
  const columns = shownColumns();
  const least = Math.min(...drawn.keys());
  const [above, below] = [[], []];
  for (let at = first; at < last; at++) {
    if (drawn.has(at)) continue;
    const node = rowNode(state.rows[at], at, columns);
    drawn.set(at, node);
    (at < least && least < Infinity ? above : below).push(node);
  }
  box.firstChild.prepend(...above);
  box.firstChild.append(...below);
  byId("list").querySelector(".head").scrollLeft = box.scrollLeft;
}

/** Marks the row under the cursor. */
function mark() {
  for (const [at, node] of drawn) node.setAttribute("aria-selected", String(at === state.cursor));
  document.querySelector("#list .rows").setAttribute("aria-activedescendant", state.rows.length ? `row-${state.cursor}` : "");
}

function rowNode(row, at, columns) {
  const cells = columns.map((number) => {
    const cell = cellOf(row, number);
    if (!cell) return make("span", { class: "cell", role: "gridcell" }, make("span", { class: "quiet" }, "–"));
    const known = STATES[cell.state];
    const several = cell.passed[1] > 1 ? ` ${cell.passed[0]}/${cell.passed[1]}` : "";
    const cut = cell.flags & CUT ? make("span", { class: "mini", title: "cut by max_tokens" }, "cut") : null;
    const silent = cell.flags & SILENT && cell.state === "f" ? make("span", { class: "mini", title: "no answer could be read" }, "no answer") : null;
    return make("span", { class: "cell", role: "gridcell", "data-cell": number },
      make("span", { class: `sign ${known.class}`, title: known.word, role: "img", "aria-label": `${state.index.columns[number].label}: ${known.word}` }, known.sign),
      make("span", { class: "said" }, cell.answer), several ? make("span", { class: "quiet" }, several) : null, cut, silent);
  });
  const node = make("div", { class: "row", role: "row", id: `row-${at}`, "data-at": at, "aria-rowindex": at + 1, "aria-selected": String(at === state.cursor) },
    make("span", { class: "id", role: "rowheader", title: row.id }, row.id),
    make("span", { class: "title", role: "gridcell" }, row.title),
    make("span", { class: "target", role: "gridcell" }, row.target ?? ""),
    make("span", { class: "cells", role: "presentation" }, cells));
  node.style.top = `${at * height}px`;
  return node;
}

/** Moves the cursor, and the list with it. */
function moveTo(at) {
  const box = document.querySelector("#list .rows");
  state.cursor = Math.max(0, Math.min(state.rows.length - 1, at));
  const top = state.cursor * height;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + height > box.scrollTop + box.clientHeight) box.scrollTop = top + height - box.clientHeight;
  drawRows();
  mark();
}
