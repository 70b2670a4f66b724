// A real roomd with people in it.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { connection, freePort, roomd, roomdWith } from "../../../../../clients/js/tests/harness.mjs";

/** A roomd that serves the inspector: its NATS URL, the page's address, and how to end and start it. */
export async function inspected({ password, flags = [], more = "" } = {}) {
  for (let tries = 3; ; tries--) { // somebody may take a port that was free
    const port = await freePort();
    const all = ["--http", `127.0.0.1:${port}`, ...flags];
    if (password) all.push("--http-password", password.file);
    try {
      const service = await (more ? roomdWith(more, ...all) : roomd(...all));
      return { ...service, page: `http://127.0.0.1:${port}/inspector/` };
    } catch (err) {
      if (tries === 0) throw err;
    }
  }
}

/** A file with a password, and the way to change it. */
export async function secret(text) {
  const dir = await mkdtemp(join(tmpdir(), "natsrooms-password-"));
  after(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, "password");
  await writeFile(file, text, { mode: 0o600 });
  return { file, text };
}

/** Commands of a back end. */
export class Caller {
  #asked = 0;

  static async to(url) {
    const caller = new Caller();
    caller.nc = await connection(url);
    return caller;
  }

  /** The reply to a command, which is repeated as clients do; throws what it is refused with. */
  async ask(verb, q) {
    const body = { requestID: `inspector-${this.#asked++}`, ...q };
    for (;;) {
      let reply;
      try {
        reply = (await this.nc.request(`room.cmd.${verb}`, JSON.stringify(body), { timeout: 15_000 })).json();
      } catch (err) {
        if (body.requestID && err.name === "TimeoutError") continue; // a repeat of the same request has no second effect
        throw err;
      }
      if (!reply.error) return reply;
      if (!["BUSY", "UNAVAILABLE"].includes(reply.error.code)) throw new Error(`${verb}: ${reply.error.code}: ${reply.error.message}`);
    }
  }

  /** Does something n times, many at a time. */
  async all(n, what, abreast = 128) {
    let next = 0;
    await Promise.all(Array.from({ length: Math.min(n, abreast) }, async () => {
      while (next < n) await what(next++);
    }));
  }
}
