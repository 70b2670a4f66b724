// What happens to the client's own session, room by room.

import { connectionClosed } from "./errors.js";
import { eventIn } from "./facts.js";
import { linkOf } from "./link.js";
import { pause, persistent } from "./retry.js";
import { Bell } from "./stream.js";
import { subjects } from "./wire.js";

// For how long the client tries to find out whether its session is still in its rooms after
// it has reconnected, unless the session's lease is longer.
const restoreWithin = 60_000;

const stateCodes = ["disconnected", "connecting", "connected"];
const eventCodes = [
  "success", "networkInterrupted", "networkDisconnected", "roomNotExist", "activeCreate", "createFailed", "activeEnter", "enterFailed",
  "kickedOut", "connectTimeout", "kickedOutByOtherDevice", "activeSwitch", "switchFailed",
];

// Why a session is not in a room any more, as facts say it. What is not listed is somebody's decision.
const eventOf = { left: "success", switched: "success", expired: "connectTimeout", destroyed: "roomNotExist", replaced: "kickedOutByOtherDevice" };

/** The error of a session that a ban put out, as in the service's notice. */
const banned = ({ code, number, until }) => code && { error: { code, number, ...(until && { until }) } };

export async function* states(source, presence, signal) {
  const { nc, userID, sessionID } = source;
  const happened = [];
  const bell = new Bell();
  const add = (what) => {
    happened.push(what);
    bell.ring();
  };
  const subscription = nc.subscribe(subjects.states(userID), {
    callback: (err, message) => {
      const event = !err && eventIn(message);
      if (event && event.data.sessionID === sessionID) add({ notice: event });
    },
  });
  const off = [linkOf(nc).on((link) => add({ link })), presence.on((renewal) => add({ renewal }))];
  const end = () => bell.ring();
  signal.addEventListener("abort", end);
  const session = new Session(source, presence, signal);
  try {
    await source.flush(signal);
    yield; // it listens
    for (;;) {
      signal.throwIfAborted();
      const next = happened.shift();
      if (!next) await bell.heard();
      else if (next.notice) yield session.told(next.notice);
      else if (next.link) yield* session.network(next.link);
      else yield* session.settle(next.renewal);
    }
  } finally {
    signal.removeEventListener("abort", end);
    off.forEach((stop) => stop());
    if (!nc.isClosed()) subscription.unsubscribe();
  }
}

class Session {
  #source;
  #presence;
  #signal;
  #away = new Map(); // the state that was told of rooms that a broken connection made doubtful

  constructor(source, presence, signal) {
    this.#source = source;
    this.#presence = presence;
    this.#signal = signal;
  }

  told({ data, time }) {
    if (data.state === "disconnected" && this.#presence.out(data.roomID, data)) this.#away.delete(data.roomID);
    return { ...data, time, comeBack: data.event === "connectTimeout" };
  }

  /** A notice of the client's own. */
  #say(roomID, state, event, more) {
    if (event === "networkInterrupted" || event === "networkDisconnected") this.#away.set(roomID, state);
    else this.#away.delete(roomID);
    const { userID, sessionID } = this.#source;
    const codes = { stateCode: stateCodes.indexOf(state), eventCode: eventCodes.indexOf(event) };
    return { roomID, userID, sessionID, state, event, ...codes, time: new Date().toISOString(), comeBack: false, ...more };
  }

  /** What the state of the connection means for every room. */
  async *network(now) {
    const rooms = [...new Set([...this.#presence.rooms.keys(), ...this.#away.keys()])].filter((id) => this.#away.get(id) !== "disconnected").sort();
    const [state, event] = now === "closed" ? ["disconnected", "networkDisconnected"] : ["connecting", "networkInterrupted"];
    for (const id of rooms) yield this.#say(id, state, event);
    if (now === "closed") throw connectionClosed();
    if (now === "up" && rooms.length + this.#away.size > 0) yield* this.#restore(rooms);
  }

  /** Asks whether the session is still in its rooms; the answer comes to settle. */
  async *#restore(rooms) {
    const given = new AbortController();
    const found = this.#presence.renew().then(() => true, () => false);
    const late = pause(Math.max(restoreWithin, this.#presence.lease), AbortSignal.any([given.signal, this.#signal])).then(() => false);
    const known = await Promise.race([found, late]);
    given.abort();
    this.#signal.throwIfAborted();
    if (!known) for (const id of rooms) yield this.#say(id, "disconnected", "networkDisconnected");
  }

  /** What a renewal changed. */
  async *settle({ heads, lost }) {
    for (const { roomID } of heads) {
      if (this.#away.has(roomID) && linkOf(this.#source.nc).up) yield this.#say(roomID, "connected", "success");
    }
    for (const { roomID, instanceID, left } of lost) {
      const event = left ? eventOf[left.reason] ?? "kickedOut" : await this.#why(roomID, instanceID);
      this.#signal.throwIfAborted();
      const known = left && { sequence: left.sequence, ...(left.reasonText && { reasonText: left.reasonText }), ...banned(left), comeBack: left.reason === "expired" };
      yield this.#say(roomID, "disconnected", event, { instanceID, ...known });
      this.#away.delete(roomID);
    }
  }

  /** Why the session is not in a room any more, if the service did not say. */
  async #why(roomID, instanceID) {
    try {
      const now = await persistent(() => this.#source.ask("get", { roomID, sync: true }, this.#signal), this.#signal);
      return now.instanceID === instanceID ? "connectTimeout" : "roomNotExist"; // another one of that name
    } catch (err) {
      return { NOT_ALLOWED: "connectTimeout", ROOM_NOT_EXIST: "roomNotExist" }[err.code] ?? "networkDisconnected";
    }
  }
}
