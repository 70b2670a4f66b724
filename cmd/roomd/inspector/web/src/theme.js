// Light, dark, or what the system says.

import { Store } from "./store.js";

const key = "natsrooms-theme";
const names = ["auto", "light", "dark"];

function remembered() {
  try {
    const name = localStorage.getItem(key);
    return names.includes(name) ? name : "auto";
  } catch {
    return "auto"; // the browser lets pages store nothing
  }
}

export const theme = new Store(remembered());

const dark = matchMedia("(prefers-color-scheme: dark)");

/** Counts changes of what is seen, for what is not drawn with CSS. */
export const painted = new Store(0);

function apply() {
  document.documentElement.dataset.theme = theme.value;
  painted.value += 1;
}
apply();
theme.follow((name) => {
  try {
    localStorage.setItem(key, name);
  } catch {
    // it holds until the page is loaded again
  }
  apply();
});
dark.addEventListener("change", apply);

export const nextTheme = () => {
  theme.value = names[(names.indexOf(theme.value) + 1) % names.length];
};

/** A colour of the style, as a canvas takes it. */
export function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
