// How the model decided: an answer as numbered steps, its sums checked, its tokens tinted by how sure the model was.

const view = { steps: true, tint: true };

/** A token's text so that it can be seen. */
const visible = (text, id) => (text === "" ? `⟨${id}⟩` : text.replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/ /g, "␣"));

/** The class of a probability: `t0` sure … `t4` hardly. */
function tint(probability) {
  const bounds = [0.9, 0.6, 0.3, 0.1];
  const at = bounds.findIndex((bound) => probability >= bound);
  return `t${at < 0 ? bounds.length : at}`;
}

const percent = (probability) => {
  const value = probability * 100;
  return value >= 99.95 ? "100 %" : value >= 0.1 ? `${value.toFixed(1)} %` : "< 0.1 %";
};

/** The tokens as spans of the text: from, to, and those that end there (several where they share a character). */
function spansOf(drawn) {
  const spans = [];
  let [start, tokens] = [0, []];
  for (const token of drawn) {
    tokens.push(token);
    if (token.end > start) {
      spans.push({ start, end: token.end, tokens });
      [start, tokens] = [token.end, []];
    }
  }
  return { spans, behind: tokens };
}

/** The text from `start` to `end`, cut at its tokens. */
function tinted(text, start, end, spans, pieces) {
  if (!spans || !view.tint) return [text.slice(start, end)];
  const parts = [];
  for (const span of spans) {
    if (span.end <= start || span.start >= end) continue;
    const part = text.slice(Math.max(start, span.start), Math.min(end, span.end));
    parts.push(tokenNode(part, span.tokens, pieces));
  }
  return parts;
}

/** One token, with its alternatives a hover, a tap or an arrow key away. */
function tokenNode(text, tokens, pieces) {
  const least = Math.min(...tokens.map((token) => token.logprob));
  const probability = Math.exp(least);
  const other = tokens.some((token) => token.top.length && token.top[0][0] !== token.id);
  const node = make("span", { class: `token ${tint(probability)}${other ? " other" : ""}` }, text);
  node.alternatives = () => alternatives(tokens, pieces);
  return node;
}

/** What else the model might have said: the drawn token and the likeliest, each with a bar. */
function alternatives(tokens, pieces) {
  return tokens.map((token) => {
    const listed = token.top.some(([id]) => id === token.id) ? token.top : [...token.top, [token.id, token.logprob]];
    const rows = listed.map(([id, logprob]) => {
      const probability = Math.exp(logprob);
      return make("tr", { class: id === token.id ? "drawn" : null },
        make("td", {}, id === token.id ? "▸" : ""),
        make("td", {}, make("code", {}, visible(pieces[id] ?? "", id))),
        make("td", {}, make("meter", { min: 0, max: 1, value: probability })),
        make("td", { class: "number" }, percent(probability)));
    });
    return make("table", {}, make("tbody", {}, rows));
  });
}

/** The pieces of a stretch of text: sums as marked spans, the rest between them. */
function stretch(answer, [start, end], sums, spans, pieces) {
  const parts = [];
  let at = start;
  for (const sum of sums) {
    parts.push(tinted(answer.text, at, sum.at[0], spans, pieces));
    const inside = tinted(answer.text, sum.at[0], sum.at[1], spans, pieces);
    const sign = sum.right
      ? make("b", { class: "sign", "aria-label": "right", title: "right" }, "✓")
      : make("b", { class: "sign", "aria-label": `wrong, it is ${sum.value}` }, `✗ ${sum.value}`);
    parts.push(make("span", { class: `sum ${sum.right ? "good" : "bad"}` }, inside, sign));
    at = sum.at[1];
  }
  parts.push(tinted(answer.text, at, end, spans, pieces));
  return parts;
}

/** An answer: steps where it has some, else its text. */
function answerNode(answer, pieces) {
  const { spans, behind } = answer.drawn ? spansOf(answer.drawn) : { spans: null, behind: [] };
  const steps = answer.steps ?? [];
  const node = make("div", { class: "answer", tabindex: spans ? 0 : null, role: spans ? "group" : null,
    "aria-label": spans ? "Answer; left and right arrows go through its tokens" : null });
  if (steps.length && view.steps) {
    const wrong = steps.findIndex((step) => step.sums?.some((sum) => !sum.right));
    node.append(make("ol", { class: "steps" }, steps.map((step, number) =>
      make("li", { class: number === wrong ? "wrong" : null },
        number === wrong ? make("span", { class: "flag" }, "first wrong step") : null,
        make("span", { class: "text" }, stretch(answer, step.at, step.sums ?? [], spans, pieces))))));
  } else {
    const sums = steps.flatMap((step) => step.sums ?? []);
    node.append(make("pre", {}, stretch(answer, [0, answer.text.length], sums, spans, pieces)));
  }
  if (spans && view.tint && behind.length) {
    const ends = behind.map((token) => tokenNode(visible(pieces[token.id] ?? "", token.id), [token], pieces));
    node.append(make("p", { class: "behind" }, "then ", ends, " ended it"));
  }
  if (answer.text === "") node.append(make("p", { class: "quiet" }, "(nothing)"));
  return node;
}

/** Shows the alternatives of a token beside it. */
function showTip(token) {
  const tip = byId("tip");
  document.querySelectorAll(".token.current").forEach((one) => one.classList.remove("current"));
  if (!token?.alternatives) {
    if (tip.matches(":popover-open")) tip.hidePopover();
    return;
  }
  token.classList.add("current");
  // Inside the dialog, or the dialog would lie over it.
  (token.closest("dialog") ?? document.body).append(tip);
  tip.replaceChildren(...token.alternatives());
  if (!tip.matches(":popover-open")) tip.showPopover();
  const place = token.getBoundingClientRect();
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  const below = place.bottom + 6 + height < innerHeight;
  tip.style.left = `${Math.max(8, Math.min(place.left, innerWidth - width - 8))}px`;
  tip.style.top = `${below ? place.bottom + 6 : Math.max(8, place.top - height - 6)}px`;
}

document.addEventListener("pointerover", (event) => showTip(event.target.closest?.(".token")));
document.addEventListener("click", (event) => showTip(event.target.closest?.(".token")));
