// Values that views look at, and that change from outside of them.

import { useEffect, useState } from "preact/hooks";

/** A value whose changes can be followed. */
export class Store {
  #value;
  #looks = new Set();

  constructor(value) {
    this.#value = value;
  }

  get value() {
    return this.#value;
  }

  set value(value) {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const look of [...this.#looks]) look(value);
  }

  follow(look) {
    this.#looks.add(look);
    return () => this.#looks.delete(look);
  }
}

/** The value of a store, in a view, which is drawn again with every change. */
export function useStore(store) {
  const [value, set] = useState(() => store.value);
  useEffect(() => {
    set(() => store.value);
    return store.follow((next) => set(() => next));
  }, [store]);
  return value;
}
