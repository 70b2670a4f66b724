// What the tests here and those of the examples share: a roomd of their own, people in rooms,
// and waiting without sleeping.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { connect } from "@nats-io/transport-node";
import { Client, type } from "../src/index.js";

const patience = 20_000;

/** The path of a program that make has built, or of a file of the repository. */
export function file(path) {
  const found = fileURLToPath(new URL(`../../../${path}`, import.meta.url));
  if (!existsSync(found)) throw new Error(`there is no ${path}; make builds it`);
  return found;
}

/** Something that changes and can be waited for. */
export class Changing {
  #looks = new Set();

  changed() {
    for (const look of this.#looks) look();
  }

  /** Resolves to the first true value of condition, which is tried at every change. */
  until(what, condition) {
    return new Promise((resolve, reject) => {
      const end = (settle, value) => {
        clearTimeout(timer);
        this.#looks.delete(look);
        settle(value);
      };
      const timer = setTimeout(() => end(reject, new Error(`it did not come to this: ${what}; but to ${this}`)), patience);
      const look = () => {
        const value = condition();
        if (value) end(resolve, value);
      };
      this.#looks.add(look);
      look();
    });
  }
}

/** A process whose lines of output can be waited for. */
export class Process extends Changing {
  lines = [];
  code = undefined; // of its exit

  constructor(command, args, options) {
    super();
    this.child = spawn(command, args, options);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        this.lines.push(line);
        this.changed();
      });
    }
    this.child.on("error", (err) => this.lines.push(err.message));
    this.child.on("close", (code, signal) => {
      this.code = code ?? signal;
      this.changed();
    });
  }

  line(text) {
    return this.until(`the line ${text}`, () => this.lines.find((line) => line.includes(text)));
  }

  exit() {
    return this.until("its end", () => this.code !== undefined);
  }

  toString() {
    return `exit ${this.code}, output:\n${this.lines.join("\n")}`;
  }
}

async function listening(server) {
  await once(server.listen(0, "127.0.0.1"), "listening");
  return server.address().port;
}

/** A port that nobody listens on now. */
export async function freePort() {
  const server = createServer();
  const port = await listening(server);
  await once(server.close(), "close");
  return port;
}

/** Starts roomd, with WebSocket, until the tests of the file are over. */
export const roomd = (...flags) => roomdWith("", ...flags);

/** The same with more in the server's configuration. */
export async function roomdWith(more, ...flags) {
  const dir = await mkdtemp(join(tmpdir(), "natsrooms-"));
  const config = join(dir, "nats.conf");
  let process;
  const start = async () => {
    process = new Process(file("bin/roomd"), ["--config", config, ...flags]);
    return (await process.until("ready", () => process.code !== undefined || process.lines.find((l) => l.startsWith("ready ")))) !== true;
  };
  const kill = async (signal) => {
    process.child.kill(signal);
    await process.exit();
  };
  after(async () => {
    await kill();
    await rm(dir, { recursive: true, force: true });
  });
  for (let tries = 3; tries > 0; tries--) { // somebody may take a port that was free
    const [port, wsPort] = [await freePort(), await freePort()];
    await writeFile(config, `
      host: 127.0.0.1
      port: ${port}
      jetstream { store_dir: ${JSON.stringify(dir)}, sync_interval: 2m }
      websocket { host: 127.0.0.1, port: ${wsPort}, no_tls: true }
      ping_interval: "1s" # so that a client that hangs is noticed
      ${more}
    `);
    if (await start()) return { url: `nats://127.0.0.1:${port}`, ws: `ws://127.0.0.1:${wsPort}`, kill, start };
  }
  throw new Error(`roomd did not start: ${process}`);
}

/** Starts one more instance of the service beside a roomd. */
export async function beside(url) {
  const instance = new Process(file("bin/roomd"), ["--nats", url]);
  after(async () => {
    instance.child.kill();
    await instance.exit();
  });
  await instance.line("ready ");
}

/** The same with users who have tokens. */
export async function roomdWithTokens() {
  const dir = await mkdtemp(join(tmpdir(), "natsrooms-tokens-"));
  after(() => rm(dir, { recursive: true, force: true }));
  const key = join(dir, "secret");
  await writeFile(key, randomBytes(48).toString("base64"));
  const tokenOf = async (user, ...flags) => {
    const { stdout } = await promisify(execFile)(file("bin/roomctl"), ["token", "--key", key, "--sub", user, "--ttl", "1h", ...flags]);
    return stdout.trim();
  };
  return { ...(await roomd("--auth", "jwt", "--auth-key", key, "--websocket-any-origin", "--limit", "user-commands=100000,user-changes=100000,user-connections=1000")), dir, tokenOf };
}

/** A way to a server, by WebSocket or not, that can be cut and mended. */
export async function cable(to) {
  const open = new Set();
  let whole = true;
  const listener = createServer((near) => {
    if (!whole) return near.destroy();
    const far = createConnection(new URL(to).port, "127.0.0.1");
    for (const [from, other] of [[near, far], [far, near]]) {
      open.add(from);
      from.on("error", () => {}).on("close", () => other.destroy()).pipe(other);
    }
  });
  const port = await listening(listener);
  after(() => listener.close());
  const cut = () => {
    whole = false;
    open.forEach((socket) => socket.destroy());
    open.clear();
  };
  return { url: `${new URL(to).protocol}//127.0.0.1:${port}`, cut, mend: () => (whole = true) };
}

/** A connection that is closed after the tests. */
export async function connection(url, options) {
  const nc = await connect({ servers: url, ...options, maxReconnectAttempts: -1, reconnectTimeWait: 100, reconnectJitter: 0, ignoreClusterUpdates: true });
  after(() => nc.close());
  return nc;
}

/** Lets nothing through to those who subscribe on nc from now on that lost(message) is true for. */
export function lose(nc, lost) {
  const subscribe = nc.subscribe.bind(nc);
  nc.subscribe = (subject, options) => subscribe(subject, {
    ...options,
    callback: (err, msg) => err || !lost(msg) ? options.callback(err, msg) : undefined,
  });
}

/** Gives every command of one verb that is sent on nc to take, with a function that sends it, changed or not. */
export function intercept(nc, verb, take) {
  const request = nc.request.bind(nc);
  nc.request = (subject, body, options) => {
    const send = (change) => request(subject, JSON.stringify({ ...JSON.parse(body), ...change }), options);
    return subject.split(".")[2] === verb ? take(send) : send();
  };
}

/** A back end's client. */
export const backEnd = (nc) => new Client(nc);

/** Somebody in a room, and what the client's loops gave. */
export class Person extends Changing {
  facts = []; // events
  said = []; // events
  fresh = []; // why the roster started over
  notices = [];
  lost = []; // after which messages some were lost
  ended = {}; // by loop: the error that it ended with

  static async in(nc, roomID, userID, { verb = "enter", last, ...config } = {}) {
    const person = new Person();
    person.client = new Client(nc, { userID, ...config });
    person.roomID = roomID;
    after(() => person.client.close());
    await person.#follow("states", person.client.states(), (notice) => person.notices.push(notice));
    person.position = await person.client[verb]({ roomID });
    const messages = person.client.messages({ roomID, last, lost: (after) => person.lost.push(after) });
    await Promise.all([
      person.#follow("messages", messages, (event) => person.said.push(event)),
      person.#follow("watch", person.client.watch({ roomID }), (update) => person.#sees(update)),
    ]);
    await person.until("the room", () => person.fresh.length > 0 || person.ended.watch);
    if (person.ended.watch) throw person.ended.watch;
    return person;
  }

  async #follow(name, stream, take) {
    const loop = async () => {
      for await (const step of stream) {
        take(step);
        this.changed();
      }
    };
    loop().catch((err) => {
      this.ended[name] = err;
      this.changed();
    });
    await stream.ready;
  }

  #sees({ fact, fresh, roster }) {
    this.roster = roster; // changes before the next step is given
    this.members = roster?.members().map((m) => m.userID).sort().join(" ");
    if (fact) this.facts.push(fact);
    if (fresh) this.fresh.push(fresh);
  }

  get sessionID() {
    return this.client.sessionID;
  }

  sees(members) {
    return this.until(`the members ${members}`, () => this.members === members);
  }

  of(name) {
    return this.facts.filter((e) => e.type === type(name)).map((e) => e.data);
  }

  says(data, options) {
    return this.client.send({ roomID: this.roomID, type: "text", data }, options);
  }

  get heard() {
    return this.said.map((m) => m.data.data);
  }

  hears(...texts) {
    return this.until(`the messages ${texts}`, () => this.heard.join() === texts.join());
  }

  leave() {
    return this.client.leave({ roomID: this.roomID });
  }

  /** Waits for a notice of this session: "disconnected kickedOut", for example. */
  told(what) {
    return this.until(`the notice ${what}`, () => this.notices.find((n) => `${n.state} ${n.event}` === what));
  }

  toString() {
    const list = (events) => events.map((e) => `${e.data.sequence ?? ""} ${e.type} ${JSON.stringify(e.data)}`).join("\n");
    const notices = this.notices.map((n) => `${n.state} ${n.event}`).join();
    return `members ${this.members}, notices ${notices}, lost ${this.lost}, ended ${Object.values(this.ended)}\n${list(this.facts)}\n${list(this.said)}`;
  }
}

/** Compares what somebody has with what the service says. */
export async function right(person, url) {
  const { roomID, roster } = person;
  const service = backEnd(await connection(url));
  const { memberList } = await service.members({ roomID, sync: true });
  const { room } = await service.get({ roomID, sync: true });
  assert.deepEqual(roster.members(), memberList);
  assert.deepEqual({ ...roster.room, revision: 0 }, { ...room, revision: 0 });
}

/** Facts count from the first one that was heard, without a hole. */
export function inOrder(person) {
  const sequences = person.facts.map((f) => f.data.sequence);
  assert.deepEqual(sequences, Array.from(sequences, (_, i) => sequences[0] + i));
}
