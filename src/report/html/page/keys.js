// Keys, links to a case, and the beginning of it all.

const KEYS = [
  ["j  k  ↓  ↑", "next, previous case"],
  ["Enter", "open the case"],
  ["Escape", "close it"],
  ["/", "search"],
  ["f", "failed only"],
  ["s", "steps, or the answer's plain text"],
  ["t", "tint tokens by certainty"],
  ["←  →", "alternatives of a token, in an answer that has the focus"],
  ["?", "these keys"],
];

const typing = (target) => target.matches?.("input, select, textarea");

/** The next or previous token of the answer that has the focus. */
function stepToken(answer, by) {
  const tokens = [...answer.querySelectorAll(".token")];
  const at = tokens.findIndex((token) => token.classList.contains("current"));
  const next = tokens[at < 0 ? (by > 0 ? 0 : tokens.length - 1) : at + by];
  if (next) next.scrollIntoView({ block: "nearest" });
  showTip(next ?? tokens[at]);
}

const actions = {
  j: () => (state.open ? step(1) : reach(1)),
  k: () => (state.open ? step(-1) : reach(-1)),
  "/": () => { byId("case").close(); byId("query").focus(); byId("query").select(); },
  "?": () => showKeys(),
  f: () => (state.open ? null : byId("filter-failed").click()),
  s: () => (state.open ? toggleView("steps") : null),
  t: () => (state.open ? toggleView("tint") : null),
  Enter: () => (state.rows[state.cursor] ? openCase(state.rows[state.cursor]) : null),
};

/** Moves the cursor of the list; the first key only takes the list into view. */
function reach(by) {
  const box = document.querySelector("#list .rows");
  const there = document.activeElement === box;
  box.focus({ preventScroll: true });
  byId("samples").scrollIntoView({ block: "nearest" });
  moveTo(there ? state.cursor + by : state.cursor);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !state.index) return;
  const { key, target } = event;
  if (typing(target)) {
    if (key === "Escape" || (key === "Enter" && target.id === "query")) {
      document.querySelector("#list .rows").focus();
      event.preventDefault();
    }
    return;
  }
  const answer = target.closest?.(".answer");
  if (answer && (key === "ArrowRight" || key === "ArrowLeft")) {
    stepToken(answer, key === "ArrowRight" ? 1 : -1);
    event.preventDefault();
    return;
  }
  const inList = target.matches?.("#list .rows");
  const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, End: Infinity, Home: -Infinity };
  if (inList && key in moves) {
    moveTo(Number.isFinite(moves[key]) ? state.cursor + moves[key] : moves[key] > 0 ? state.rows.length - 1 : 0);
    event.preventDefault();
    return;
  }
  if (key === "Enter" && !inList) return;
  if (actions[key]) {
    actions[key]();
    event.preventDefault();
  }
});

function showKeys() {
  const dialog = byId("keys");
  dialog.replaceChildren(make("h2", { id: "keys-title" }, "Keys"),
    make("dl", {}, KEYS.map(([key, what]) => [make("dt", {}, key.split("  ").map((one) => make("kbd", {}, one))), make("dd", {}, what)])),
    make("button", { type: "button", onclick: () => dialog.close() }, "Close"));
  dialog.showModal();
}

/** `#case=…&variant=…` opens a case. */
function follow() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const row = state.index.rows.find((one) => one.id === wanted.get("case"));
  if (!row || row === state.open) return;
  if (row.suite !== state.suite) {
    state.suite = row.suite;
    drawFilters();
    list();
  }
  const column = state.index.columns.findIndex((one) => [one.label, one.variant].includes(wanted.get("variant")));
  const at = state.rows.indexOf(row);
  if (at >= 0) moveTo(at);
  openCase(row, column < 0 ? undefined : column);
}

addEventListener("beforeprint", () => document.querySelectorAll("#overview details, dialog[open] details.block").forEach((one) => { one.open = true; }));

async function begin() {
  byId("tools").replaceChildren(make("button", { type: "button", onclick: showKeys, title: "keys (?)" }, "? keys"), themeButton());
  state.index = await unpack(document.querySelector("script.index"));
  state.shown = new Set(state.index.columns.keys());
  drawFilters();
  drawList();
  list();
  follow();
  addEventListener("hashchange", follow);
  performance.mark("listed");
  document.documentElement.dataset.ready = "";
}

begin().catch((error) => {
  byId("count").textContent = `The samples cannot be shown: ${error.message}. A browser of 2024 or later is needed.`;
});
