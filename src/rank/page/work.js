// The work: what the server shows is drawn, what the rater says is handed in. Nothing is kept here that a reload would lose
// but the judgement that is not yet pressed.

const KEYS = {
  order: [["1 … 9", "the answer comes next in the order; again: take it out"], ["=", "the next answer is level with the last"],
    ["Backspace", "take the last one out"], ["← →", "on a chip: move it"]],
  scores: [["1 … 7", "score the marked answer"], ["↑ ↓", "mark another answer"], ["Backspace", "take its score away"]],
  both: [["Enter", "done"], ["0", "can’t tell"], ["u", "undo the last judgement"], ["c", "comment; Esc leaves it"],
    ["e", "show or hide what came before"], ["?", "these keys"]],
};

const work = {
  view: null,
  shown: null,
  mode: order,
  busy: false,
  spent: 0,
  since: 0,

  async ask(path, body) {
    if (this.busy) return;
    this.busy = true;
    try {
      const answer = await fetch(path, body === undefined ? {} : {
        method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
      });
      const text = await answer.text();
      let read = null;
      try {
        read = JSON.parse(text);
      } catch {
        say(`Not kept: ${text}`, true);
        return;
      }
      if (answer.ok || answer.status === 409) this.draw(read.view);
      if (read.refused) say(answer.status === 409 ? `Nothing was kept: ${read.refused}.` : `Not kept: ${read.refused}.`, true);
    } catch {
      say("Not kept: the program does not answer. Is it still running? Then press Enter again.", true);
    } finally {
      this.busy = false;
    }
  },

  draw(view) {
    this.view = view;
    this.shown = view.item;
    $("progress").textContent = view.item ? `${Math.min(view.done + 1, view.total)} of ${view.total}` : `${view.done} of ${view.total}`;
    $("bar").max = view.total;
    $("bar").value = view.done;
    $("undo").disabled = !view.can_undo;
    this.mode = view.scores ? scores : order;
    $("tray").hidden = !view.item;
    if (view.item) this.item(view.item, view.scores);
    else this.end();
    const root = document.documentElement.dataset;
    root.item = view.item ? view.item.item : "end";
    root.done = view.done;
    root.turn = Number(root.turn ?? 0) + 1;
  },

  item(shown, scored) {
    $("case").hidden = false;
    const axis = shown.axis ? make("b", {}, shown.axis) : null;
    $("ask").replaceChildren(...(scored
      ? ["Score each answer", ...(axis ? [": how ", axis, "?"] : [" from 1 to 7"])]
      : axis ? ["Put in order, the most ", axis, " first"] : [shown.answers.length === 2 ? "Which answer is better?" : "Put the answers in order, the best first"]));
    const pieces = (list) => list.flatMap(({ role, text }) => [role ? make("span", { className: "role" }, role) : null, said(text)]);
    const before = shown.before.length === 0 ? null
      : make("details", {}, make("summary", {}, "What came before"), ...pieces(shown.before));
    $("case").replaceChildren(...[before, ...pieces(shown.prompt)].filter((node) => node !== null));
    $("answers").replaceChildren(...shown.answers.map((text, i) => this.card(text, i, scored)));
    $("comment").value = shown.former?.comment ?? "";
    this.note($("comment").value !== "");
    $("order").replaceChildren();
    this.mode.begin(shown);
    this.mode.draw();
    this.spent = 0;
    this.since = performance.now();
    window.scrollTo(0, 0);
  },

  card(text, i, scored) {
    const number = make("span", { className: "number" }, String(i + 1));
    const pick = scored ? number
      : button("", () => order.toggle(i), { className: "pick", ariaLabel: `Answer ${i + 1}: next in the order` });
    if (!scored) pick.append(number, "Answer");
    const place = make("span", { className: "place" });
    return make("article", { className: "card" }, make("div", { className: "top" }, pick, place), ...foldable(text), ...(scored ? scores.scale(i) : []));
  },

  /** Shows where an answer stands. */
  place(i, text) {
    const card = document.querySelectorAll(".card")[i];
    if (!card) return;
    card.classList.toggle("placed", text !== "");
    card.querySelector(".place").textContent = text;
  },

  end() {
    $("ask").replaceChildren();
    $("case").replaceChildren();
    $("case").hidden = true;
    $("answers").replaceChildren(make("div", { className: "end" }, make("h2", {}, "All done, thank you."),
      make("p", {}, `${this.view.done} judgements by ${this.view.rater} are kept. You can close this page and end the program with Ctrl-C.`)));
  },

  seconds() {
    return (this.spent + (document.hidden ? 0 : performance.now() - this.since)) / 1000;
  },

  commit(given) {
    if (!this.shown || this.busy || !given) return;
    this.ask("judge", { item: this.shown.item, comment: $("comment").value, seconds: this.seconds(), ...given });
  },

  undo() {
    if (this.view?.can_undo) this.ask("undo", {});
  },

  note(open, focus = false) {
    $("note").hidden = !open;
    $("remark").setAttribute("aria-expanded", String(open));
    if (open && focus) $("comment").focus();
  },

  help() {
    const rows = [...(this.view?.scores ? KEYS.scores : KEYS.order), ...KEYS.both];
    $("keylist").replaceChildren(...rows.flatMap(([key, what]) => [make("dt", {}, key), make("dd", {}, what)]));
    $("keys").showModal();
  },

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if ($("keys").open) {
      if (event.key === "Escape") $("keys").close();
      return;
    }
    if (event.target === $("comment")) {
      if (event.key === "Escape") $("comment").blur();
      return;
    }
    // A button that has the focus is pressed by its own keys.
    if (event.target instanceof HTMLElement && event.target.closest("button, summary") && (event.key === "Enter" || event.key === " ")) return;
    const act = {
      u: () => this.undo(), "?": () => this.help(),
      ...(this.shown ? {
        Enter: () => this.commit(this.mode.given()), 0: () => this.commit({ cant_tell: true }), c: () => this.note(true, true),
        e: () => document.querySelectorAll("details").forEach((one) => { one.open = !one.open; }),
      } : {}),
    }[event.key];
    if (act) act();
    else if (!this.shown || !this.mode.key(event.key)) return;
    event.preventDefault();
  },
};

document.addEventListener("keydown", (event) => work.key(event));
// Who points with a mouse or a finger goes on by keys: the focus does not stay on what was pressed.
document.addEventListener("click", (event) => {
  if (event.detail > 0 && event.target.closest?.("button")) document.activeElement?.blur();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) work.spent += performance.now() - work.since;
  else work.since = performance.now();
});
$("undo").addEventListener("click", () => work.undo());
$("help").addEventListener("click", () => work.help());
$("close").addEventListener("click", () => $("keys").close());
// Its button would keep the focus, and swallow the next Enter.
$("keys").addEventListener("close", () => document.activeElement?.blur());
$("unsure").addEventListener("click", () => work.commit({ cant_tell: true }));
$("remark").addEventListener("click", () => work.note($("note").hidden, true));
$("clear").addEventListener("click", () => work.mode.clear());
$("commit").addEventListener("click", () => work.commit(work.mode.given()));
work.ask("state");
