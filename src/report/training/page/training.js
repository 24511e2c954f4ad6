// The figures of a step, under a slider (for keys and fingers) and under the pointer.

const data = JSON.parse(byId("data").textContent);

/** The last of some rows, sorted by step, that is not behind a step. */
function upTo(rows, step) {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle][0] <= step) low = middle + 1;
    else high = middle;
  }
  return rows[low - 1];
}

const digits = (value, count) => (value === null || value === undefined ? "not finite" : value.toFixed(count));

/** What is known of a step, in words. */
function words(step) {
  const [made, evaluated] = [upTo(data.steps, step), upTo(data.evaluations, step)];
  const parts = [`step ${made?.[0] ?? 0}`];
  if (made) {
    const [, loss, rate, norm, speed, memory] = made;
    parts.push(`loss ${digits(loss, 4)}`, `rate ${rate.toExponential(1)}`, `gradient norm ${digits(norm, 3)}`,
      `${speed.toLocaleString("en")} tokens/s`);
    if (memory !== null) parts.push(`${Math.round(memory).toLocaleString("en")} MiB`);
  }
  if (evaluated) parts.push(`held out ${digits(evaluated[1], 4)} at step ${evaluated[0]}`);
  return parts.join(" · ");
}

const plots = [...document.querySelectorAll(".plot")];
const slider = make("input", { type: "range", min: 0, max: data.last, step: 1, value: data.last, oninput: () => read(Number(slider.value)) });
const output = make("output", { role: "status" });

function read(step) {
  slider.value = step;
  const at = upTo(data.steps, step)?.[0] ?? 0;
  const said = words(step);
  slider.setAttribute("aria-valuetext", said);
  output.textContent = said;
  byId("curves").classList.add("reading");
  for (const plot of plots) {
    const cross = plot.querySelector(".cross");
    for (const end of ["x1", "x2"]) cross.setAttribute(end, `${(100 * at) / data.last}%`);
  }
}

byId("tools").replaceChildren(themeButton());
if (data.steps.length > 0) {
  byId("reader").classList.add("reader");
  byId("reader").replaceChildren(make("label", {}, "step", slider), output);
  output.textContent = words(data.last);
  for (const plot of plots) {
    plot.addEventListener("pointermove", (event) => {
      const box = plot.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      read(Math.round(share * data.last));
    });
  }
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
document.documentElement.dataset.ready = "";
