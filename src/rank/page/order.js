// An order: groups of answers from the best to the worst. Keys, taps and drags change the groups; the tray shows them.

const order = {
  groups: [],
  level: false,

  begin(shown) {
    this.count = shown.answers.length;
    this.groups = (shown.former?.order ?? []).map((group) => [...group]);
    this.level = false;
    say(this.hint());
  },

  hint() {
    return touched() ? "Tap the answers, the best first; drag to move. › makes two level."
      : `Press 1–${this.count} or click an answer, the best first. = makes two level.`;
  },

  flat() {
    return this.groups.flat();
  },

  open() {
    const placed = new Set(this.flat());
    return [...Array(this.count).keys()].filter((i) => !placed.has(i));
  },

  drop(i) {
    this.groups = this.groups.map((group) => group.filter((other) => other !== i)).filter((group) => group.length > 0);
  },

  /** Places an answer behind the last one, level with it after "="; one that is placed is taken out again. */
  toggle(i) {
    if (i >= this.count) return;
    if (this.flat().includes(i)) this.drop(i);
    else if (this.level && this.groups.length > 0) this.groups.at(-1).push(i);
    else this.groups.push([i]);
    this.level = false;
    say(this.hint());
    this.draw();
  },

  /** Puts an answer at a place of the flat order; between two that are level it is level with them. */
  put(i, at) {
    this.drop(i);
    let seen = 0;
    for (const [number, group] of this.groups.entries()) {
      if (at <= seen) return void this.groups.splice(number, 0, [i]);
      if (at < seen + group.length) return void group.splice(at - seen, 0, i);
      seen += group.length;
    }
    this.groups.push([i]);
  },

  /** Joins or parts the two answers around a gap of the flat order. */
  join(gap) {
    let seen = 0;
    for (const [number, group] of this.groups.entries()) {
      seen += group.length;
      if (gap < seen) {
        const inside = gap - (seen - group.length);
        this.groups.splice(number, 1, group.slice(0, inside), group.slice(inside));
        break;
      }
      if (gap === seen) {
        this.groups.splice(number, 2, [...group, ...this.groups[number + 1]]);
        break;
      }
    }
    this.draw();
  },

  move(i, by) {
    const at = this.flat().indexOf(i);
    if (at < 0) return;
    this.put(i, Math.max(0, at + by));
    this.draw();
  },

  key(key) {
    if (/^[1-9]$/.test(key)) this.toggle(Number(key) - 1);
    else if (key === "=" && this.groups.length > 0) {
      this.level = true;
      say(`The next answer is level with answer ${this.groups.at(-1).at(-1) + 1}.`);
    } else if (key === "Backspace") {
      const last = this.flat().at(-1);
      if (last !== undefined) this.toggle(last);
    } else return false;
    return true;
  },

  clear() {
    this.groups = [];
    this.draw();
  },

  /** What is handed in, or null with a word why not. The last answer that is left goes last. */
  given() {
    const open = this.open();
    if (open.length > 1) {
      say(`Not placed yet: ${open.map((i) => i + 1).join(", ")}.`, true);
      return null;
    }
    if (open.length === 1) this.toggle(open[0]);
    return { order: this.groups };
  },

  draw() {
    const focused = document.activeElement?.dataset?.key;
    const placed = this.flat();
    const nodes = [];
    placed.forEach((i, at) => {
      if (at > 0) nodes.push(this.between(at));
      nodes.push(this.chip(i, false));
    });
    const open = this.open();
    if (open.length > 0 && placed.length > 0) nodes.push(make("span", { className: "rest", id: "rest" }, "not placed"));
    nodes.push(...open.map((i) => this.chip(i, true)));
    $("order").replaceChildren(...nodes);
    this.groups.forEach((group, number) => group.forEach((i) => {
      work.place(i, (group.length > 1 ? "= " : "") + ordinal(number + 1));
    }));
    open.forEach((i) => work.place(i, ""));
    if (focused) document.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  },

  between(gap) {
    const level = this.groups.some((group) => {
      const flat = this.flat();
      return group.includes(flat[gap]) && group.includes(flat[gap - 1]);
    });
    const node = button(level ? "=" : "›", () => this.join(gap), {
      className: "between", title: level ? "Level; press to put in order" : "In order; press to make level",
    });
    node.dataset.key = `gap-${gap}`;
    node.setAttribute("aria-label", level ? "level with" : "better than");
    node.setAttribute("aria-pressed", String(level));
    return node;
  },

  chip(i, open) {
    const first = work.shown.answers[i].trim().slice(0, 80);
    const node = make("button", { type: "button", className: open ? "chip open" : "chip" },
      make("span", { className: "number" }, String(i + 1)), make("span", { className: "first", dir: "auto" }, first));
    node.dataset.key = `chip-${i}`;
    node.dataset.answer = i;
    node.setAttribute("role", "listitem");
    node.setAttribute("aria-label", open ? `Answer ${i + 1}, not placed` : `Answer ${i + 1}; arrow keys move it`);
    node.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by) {
        event.preventDefault();
        this.move(i, by);
      }
    });
    drag(node, i);
    return node;
  },
};

/** A press without a move places an answer or takes it out; with one it drags it. */
function drag(node, i) {
  let start = null;
  let moved = false;
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = [event.clientX, event.clientY];
    moved = false;
    node.setPointerCapture(event.pointerId);
  });
  node.addEventListener("pointermove", (event) => {
    if (!start) return;
    if (Math.hypot(event.clientX - start[0], event.clientY - start[1]) > 8) moved = true;
    node.classList.toggle("held", moved);
  });
  const end = (event) => {
    if (!start) return;
    start = null;
    node.classList.remove("held");
    if (!moved || event.type === "pointercancel") return;
    const place = dropped(event.clientX, event.clientY, i);
    if (place === null) order.drop(i);
    else order.put(i, place);
    say(order.hint());
    order.draw();
  };
  node.addEventListener("pointerup", end);
  node.addEventListener("pointercancel", end);
  // A drag ends in a click, too.
  node.addEventListener("click", () => (moved ? (moved = false) : order.toggle(i)));
}

/** Where in the flat order (without the one that is dragged) a point is; null for where the others lie that are not placed. */
function dropped(x, y, i) {
  const chips = [...document.querySelectorAll(".chip:not(.open)")].filter((chip) => Number(chip.dataset.answer) !== i);
  if (chips.length === 0) return 0;
  const rest = $("rest")?.getBoundingClientRect();
  if (rest && (y > rest.bottom + 8 || (y > rest.top - 8 && x > rest.left))) return null;
  let best = null;
  chips.forEach((chip, at) => {
    const box = chip.getBoundingClientRect();
    const [middle, height] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
    const far = Math.abs(x - middle) + 4 * Math.abs(y - height);
    if (best === null || far < best.far) best = { far, place: x < middle ? at : at + 1 };
  });
  return best.place;
}
