// Whether a connection is up. The NATS package tells only changes, so one watcher per
// connection remembers.

const links = new WeakMap();

export function linkOf(nc) {
  if (!links.has(nc)) links.set(nc, new Link(nc));
  return links.get(nc);
}

class Link {
  #listeners = new Set();

  constructor(nc) {
    this.closed = nc.isClosed();
    this.up = !this.closed && Boolean(nc.info);
    this.#follow(nc);
    nc.closed().then(() => this.#tell("closed"));
  }

  /** Calls listener with "down", "up" or "closed", until the returned function is called. */
  on(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #follow(nc) {
    for await (const { type } of nc.status()) {
      if (type === "disconnect") this.#tell("down");
      if (type === "reconnect") this.#tell("up");
    }
  }

  #tell(what) {
    if (this.closed) return;
    this.up = what === "up";
    this.closed = what === "closed";
    for (const listener of [...this.#listeners]) listener(what);
  }
}
