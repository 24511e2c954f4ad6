// Nodes. Texts that others wrote are only ever the text of a node, never HTML.

const $ = (id) => document.getElementById(id);

function make(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children.filter((child) => child !== null));
  return node;
}

function button(text, act, props = {}) {
  const node = make("button", { type: "button", ...props }, text);
  node.addEventListener("click", act);
  return node;
}

/** A text as it is, in its own direction. */
function said(text) {
  const node = make("div", { className: "said", dir: "auto" }, text);
  if (text.trim() === "") {
    node.textContent = text === "" ? "(an empty answer)" : "(nothing but blanks)";
    node.classList.add("empty");
  }
  return node;
}

/** A long text is cut until it is asked for. */
function foldable(text) {
  const body = said(text);
  const lines = text.split("\n").reduce((sum, line) => sum + 1 + Math.floor(line.length / 60), 0);
  if (lines <= 26) return [body];
  body.classList.add("long");
  const more = button("Show all", () => {
    const folded = body.classList.toggle("long");
    more.textContent = folded ? "Show all" : "Show less";
    more.setAttribute("aria-expanded", String(!folded));
  }, { className: "more" });
  more.setAttribute("aria-expanded", "false");
  return [body, more];
}

const ordinal = (n) => n + (["th", "st", "nd", "rd"][n % 100 > 10 && n % 100 < 14 ? 0 : n % 10] ?? "th");

/** Whether a finger is what there is to point with. */
const touched = () => window.matchMedia("(pointer: coarse)").matches;

function say(text, bad = false) {
  $("say").textContent = text;
  $("say").classList.toggle("bad", bad);
}
