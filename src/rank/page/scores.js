// Scores: 1 to 7 for each answer. One answer is current; a digit scores it and goes on to the next.

const scores = {
  begin(shown) {
    this.count = shown.answers.length;
    this.values = shown.former?.scores ? [...shown.former.scores] : Array(this.count).fill(null);
    this.current = 0;
    say(this.hint());
  },

  hint() {
    return touched() ? "1 is poor, 7 is excellent." : "Press 1–7 to score the marked answer; arrow keys go to another.";
  },

  set(i, value) {
    this.values[i] = value;
    this.current = i;
    this.draw();
  },

  key(key) {
    const by = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[key];
    if (by) {
      this.current = Math.min(this.count - 1, Math.max(0, this.current + by));
      this.draw();
      document.querySelectorAll(".card")[this.current]?.scrollIntoView({ block: "nearest" });
    } else if (/^[1-7]$/.test(key)) {
      this.values[this.current] = Number(key);
      this.current = Math.min(this.count - 1, this.current + 1);
      say(this.hint());
      this.draw();
    } else if (key === "Backspace") {
      this.set(this.current, null);
    } else return false;
    return true;
  },

  clear() {
    this.values.fill(null);
    this.current = 0;
    this.draw();
  },

  given() {
    const open = this.values.flatMap((value, i) => (value === null ? [i + 1] : []));
    if (open.length > 0) {
      say(`Not scored yet: ${open.join(", ")}.`, true);
      return null;
    }
    return { scores: this.values };
  },

  /** The seven buttons of an answer. */
  scale(i) {
    const press = (value) => button(String(value), () => this.set(i, value), { ariaLabel: `Score ${value} for answer ${i + 1}` });
    return [
      make("div", { className: "scale" }, ...[1, 2, 3, 4, 5, 6, 7].map(press)),
      make("div", { className: "ends" }, make("span", {}, "poor"), make("span", {}, "excellent")),
    ];
  },

  draw() {
    document.querySelectorAll(".card").forEach((card, i) => {
      card.classList.toggle("current", i === this.current);
      card.querySelectorAll(".scale button").forEach((one, at) => {
        one.setAttribute("aria-pressed", String(this.values[i] === at + 1));
      });
      work.place(i, this.values[i] === null ? "" : String(this.values[i]));
    });
  },
};
