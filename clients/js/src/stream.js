// What Client's watch, messages and states return.

/**
 * An endless sequence for `for await`. It listens from the moment of its making, and ready
 * resolves when it does. It ends quietly with close(), with the client, or when the loop is
 * left, and throws if the signal is aborted or nothing more can be heard.
 */
export class Stream {
  #end = new AbortController();
  #quiet;
  #steps;

  /** run(signal) is an async generator whose first value says that it listens. quiet is the client's end. */
  constructor(run, quiet, signal) {
    this.#quiet = AbortSignal.any([quiet, this.#end.signal]);
    this.#steps = run(AbortSignal.any([this.#quiet, ...(signal ? [signal] : [])]));
    this.ready = this.#step().then(() => {});
    this.ready.catch(() => {}); // the loop throws it too
  }

  async #step() {
    try {
      return await this.#steps.next();
    } catch (err) {
      if (this.#quiet.aborted) return { value: undefined, done: true };
      throw err;
    }
  }

  close() {
    this.#end.abort();
  }

  async next() {
    await this.ready;
    return this.#step();
  }

  async return(value) {
    this.close();
    await this.#steps.return().catch(() => {});
    return { value, done: true };
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}

/** Something to wait for that may ring before anybody waits. */
export class Bell {
  #rung = false;
  #wake;

  ring() {
    this.#rung = true;
    this.#wake?.();
  }

  async heard() {
    if (!this.#rung) await new Promise((resolve) => (this.#wake = resolve));
    this.#rung = false;
  }
}
