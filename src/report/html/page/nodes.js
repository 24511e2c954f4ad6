// Nodes of the page, and its theme: for every page of Tripos.

/** Makes an element: attributes by name, `on…` as listeners, children as nodes or texts. Texts are never HTML. */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

const byId = (id) => document.getElementById(id);

/** A button for the theme: light, dark, or as the system says. */
function themeButton() {
  const themes = ["auto", "light", "dark"];
  let theme = "auto";
  const button = make("button", { type: "button", id: "theme", onclick: () => set(themes[(themes.indexOf(theme) + 1) % themes.length]) });
  function set(name) {
    theme = themes.includes(name) ? name : "auto";
    document.documentElement.dataset.theme = theme;
    button.textContent = { auto: "◐ auto", light: "○ light", dark: "● dark" }[theme];
    button.setAttribute("aria-label", `theme: ${theme}`);
    // A page from disk may have no storage.
    try { localStorage.setItem("tripos-theme", theme); } catch { /* then it is forgotten */ }
  }
  let kept = "auto";
  try { kept = localStorage.getItem("tripos-theme"); } catch { /* none */ }
  set(kept);
  return button;
}
