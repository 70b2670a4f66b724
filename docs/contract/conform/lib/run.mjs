// Runs checks against a deployment, and says what came of them.

import { nuid } from "@nats-io/nats-core";
import { codes, types, verbs } from "./contract.mjs";
import { wait } from "./heard.mjs";
import { Trial } from "./trial.mjs";
import { join, token } from "./wire.mjs";

const groupsOf = {};
for (const name of ["verbs", "refusals", "limits", "repeats", "events", "order", "paging", "notices", "attributes", "switch", "ending", "leases", "connections", "stored", "users", "hosts", "feeds", "newest", "said", "pipelined", "small"]) {
  groupsOf[name] = await import(`../checks/${name}.mjs`);
}

/** The groups of checks, by name: {about, needs?, checks}. */
export const groups = groupsOf;

const atOnce = 16;
const longest = 60_000; // of a check, unless an option says otherwise

/** What the checks met: verbs that succeeded, codes that refused, and types of events that were heard. */
class Used {
  verbs = new Set();
  codes = new Set();
  types = new Set();

  heard(events) {
    for (const e of events) this.types.add(e.type.replace("io.natsrooms.", ""));
  }
}

/** A running service, as it is reached. */
class Deployment {
  #users = new Map();

  constructor(options) {
    Object.assign(this, options, { run: nuid.next().slice(-10).toLowerCase(), used: new Used() });
  }

  async open() {
    this.nc = await join(this);
    this.trusting = !this.tokenFile && !this.creds && !this.server.includes("@");
    return this;
  }

  /** A connection of one of two end users. */
  async endUser(number, options) {
    if (options) return this.#connect(number, options);
    if (!this.#users.has(number)) this.#users.set(number, this.#connect(number, {}));
    return this.#users.get(number);
  }

  async #connect(number, options) {
    const who = this.users?.[number] ?? { userID: `conform-${this.run}-user${number}` };
    return { nc: await join({ server: this.server, ...who }, { inboxPrefix: `_INBOX_${token(who.userID)}`, ...options }), userID: who.userID, rooms: who.rooms ?? [] };
  }

  async close() {
    for (const user of this.#users.values()) (await user.catch(() => undefined))?.nc.close();
    await this.nc?.close();
  }
}

/** The options that a deployment has to have for a group, or undefined. */
const needs = (group, deployment) => (group.needs && !group.needs(deployment) ? group.without : undefined);

/**
 * Runs the checks of some groups, and tells of each as {group, name, error?}. options are
 * {server, token..., users?, only?, small?, grace?, one?, patience?, longest?}. Gives {passed, failed, left}: left are the
 * groups that were not tried, and why.
 */
export async function conform(options, tell) {
  if (options.patience) wait(options.patience);
  const deployment = await new Deployment(options).open();
  try {
    const chosen = options.only ?? (options.small ? ["small"] : Object.keys(groups));
    const left = [];
    const work = [];
    for (const name of chosen) {
      const why = needs(groups[name], deployment);
      if (why) left.push({ group: name, why });
      else for (const [check, run] of Object.entries(groups[name].checks)) work.push({ group: name, name: check, run });
    }
    const results = await all(work, deployment, tell);
    const last = [await nothingLeft(deployment), ...(options.only || options.small ? [] : coverage(deployment))];
    last.forEach(tell);
    results.push(...last);
    return { passed: results.filter((r) => !r.error), failed: results.filter((r) => r.error), left };
  } finally {
    await deployment.close();
  }
}

/** Runs several at once; tells of them in their order. */
async function all(work, deployment, tell) {
  const results = work.map(resolvers);
  let next = 0;
  const worker = async () => {
    while (next < work.length) {
      const i = next++;
      results[i].resolve(await one(work[i], deployment, i));
    }
  };
  const workers = Array.from({ length: atOnce }, worker);
  const told = [];
  for (const { promise } of results) {
    const result = await promise;
    tell(result);
    told.push(result);
  }
  await Promise.all(workers);
  return told;
}

function resolvers() {
  let resolve;
  return { promise: new Promise((r) => (resolve = r)), resolve };
}

async function one({ group, name, run }, deployment, number) {
  const t = new Trial(deployment, number);
  let timer;
  const most = deployment.longest ?? longest;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`it was not over after ${most / 1000} s`)), most)));
  const steps = async () => {
    await run(t);
    await t.settle();
  };
  try {
    await Promise.race([steps(), late]);
    return { group, name };
  } catch (error) {
    if (!(error instanceof TypeError)) return { group, name, error };
    return { group, name, error: new Error(`something that must be there is missing: ${error.message}`) };
  } finally {
    clearTimeout(timer);
    await t.end();
  }
}

/** Whether the rooms of this run are gone. */
async function nothingLeft({ nc, run }) {
  const msg = await nc.request("room.cmd.list", JSON.stringify({ prefix: `conform-${run}-`, sync: true }), { timeout: 15_000 });
  const rooms = msg.json().roomList?.map((r) => r.roomID);
  return { group: "contract", name: "no room of this run is left", ...(rooms?.length !== 0 && { error: new Error(`list has ${rooms?.join(", ") ?? msg.string()}`) }) };
}

// What no check can meet from outside, or not without a deployment of its own.
const outOfReach = ["room.kept.v1", "UNAVAILABLE", "ROOM_LIMIT", "USER_ROOM_LIMIT", "RATE_LIMITED"];

/** Whether the checks met all that the contract has. */
function coverage({ used, trusting, users }) {
  const beyond = [...outOfReach, ...(trusting || users ? [] : ["NOT_ALLOWED", "BANNED", "MUTED"])]; // which end users get
  const result = (name, of, met, what) => {
    const missing = of.filter((x) => !met.has(x) && !beyond.includes(x));
    return { group: "contract", name, ...(missing.length && { error: new Error(`${what}: ${missing.join(", ")}`) }) };
  };
  return [
    result("every verb was carried out", verbs, used.verbs, "asyncapi.json has verbs that no check carried out, or the service does not have them"),
    result("every code refused something", Object.keys(codes), used.codes, "the contract has codes that no check met"),
    result("every type of event was heard", types, used.types, "the contract has types of events that no check heard"),
  ];
}
