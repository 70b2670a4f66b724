// Where one is in the page: what comes after the # of its address, so that links, the back button
// and bookmarks work whatever path the page is served at.

import { Store } from "./store.js";

const read = () => {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  try {
    return { path: path.split("/").map(decodeURIComponent), query: new URLSearchParams(query) };
  } catch {
    return { path: [""], query: new URLSearchParams() };
  }
};

export const route = new Store(read());
addEventListener("hashchange", () => {
  route.value = read();
});

export const link = (...path) => `#/${path.map(encodeURIComponent).join("/")}`;

/** Changes what is after the ? without a step in the browser's history. */
export function refine(path, changes) {
  const query = new URLSearchParams(route.value.query);
  for (const [key, value] of Object.entries(changes)) {
    if (value) query.set(key, value);
    else query.delete(key);
  }
  const text = query.toString();
  history.replaceState(null, "", path + (text && `?${text}`));
  route.value = read();
}
