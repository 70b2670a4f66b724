// One check while it runs: its own rooms and users, and what it says about what it saw.

import { isDeepStrictEqual } from "node:util";
import { nuid } from "@nats-io/nats-core";
import { short } from "./contract.mjs";
import { fold, Heard, Watched } from "./heard.mjs";
import { Caller, join, token } from "./wire.mjs";

export class Trial {
  #rooms = [];
  #watched = new Map();
  #listening = [];
  #closing = [];

  constructor(deployment, number) {
    this.deployment = deployment;
    this.nc = deployment.nc;
    this.prefix = `conform-${deployment.run}-${number}`;
    this.back = new Caller(this.nc, {}, { used: deployment.used });
  }

  /** A name that nobody else has. */
  name(of) {
    return `${this.prefix}-${of}`;
  }

  /** A room's ID of this check's own; what happens there is watched, and it is destroyed in the end. */
  async room(of = "room", { exactly, watch = true } = {}) {
    const roomID = exactly ?? this.name(of);
    this.#rooms.push(roomID);
    if (watch) {
      this.#watched.set(roomID, new Watched(this.nc, roomID));
      await this.nc.flush();
    }
    return roomID;
  }

  /** What was heard of a room. */
  heard(roomID) {
    return this.#watched.get(roomID);
  }

  /** A user for whom the back end acts; it has no session of its own unless one is given. */
  user(of, more = {}) {
    return new Caller(this.nc, { userID: this.name(of), ...more }, { used: this.deployment.used });
  }

  users(...names) {
    return names.map((name) => this.user(name));
  }

  /** An end user's own connection; the first two are numbers 0 and 1. */
  async endUser(number, options) {
    const { nc, userID } = await this.deployment.endUser(number, options);
    if (options) this.#closing.push(nc);
    return new Caller(nc, { userID, sessionID: nuid.next() }, { own: true, used: this.deployment.used });
  }

  /** A connection of its own, as the back end. */
  async connection() {
    const nc = await join(this.deployment);
    this.#closing.push(nc);
    return nc;
  }

  /** What arrives on subjects from now on. */
  async listen(nc, ...subjects) {
    const heard = new Heard(nc, ...subjects);
    this.#listening.push(heard);
    await nc.flush();
    return heard;
  }

  /** The notices to a user, as a list of [state, event] of one session if it is given. */
  async notices(caller) {
    const heard = await this.listen(caller.nc, `room.state.${token(caller.userID)}.*`);
    heard.told = (roomID) => heard.events.filter((e) => !roomID || e.data.roomID === roomID).map((e) => `${e.data.state} ${e.data.event}`);
    return heard;
  }

  equal(what, seen, want) {
    if (isDeepStrictEqual(plain(seen), plain(want))) return;
    throw new Error(`${what} must be ${short(want)}; it is ${short(seen)}`);
  }

  /** Checks that seen has at least what want has. */
  like(what, seen, want) {
    for (const [key, value] of Object.entries(want)) this.equal(`${what}.${key}`, seen?.[key], value);
  }

  ok(what, condition, seen) {
    if (!condition) throw new Error(seen === undefined ? what : `${what}; seen was ${short(seen)}`);
  }

  /** Checks that the fact of a position has an entry of a user, and gives the entry. */
  async entry(roomID, position, name, userID) {
    const fact = await this.heard(roomID).at(position);
    this.equal(`the fact ${position.sequence}`, fact.name, name);
    const entry = fact.data.memberList.find((m) => m.userID === userID);
    this.ok(`the fact ${position.sequence} has an entry of ${userID}`, entry, fact.data);
    return entry;
  }

  /** Checks, after the check's own steps, what must be true of every room that it used. */
  async settle() {
    for (const [roomID, watched] of this.#watched) {
      watched.check();
      if (watched.facts[0]?.name !== "room.created") continue;
      await this.#folds(roomID, watched);
      watched.check();
    }
    for (const heard of this.#listening) if (heard.errors.length > 0) throw heard.errors[0];
  }

  /** The facts of a room that exists make what the service says about it. */
  async #folds(roomID, watched) {
    const { reply: page } = await this.back.answer("members", { roomID, sync: true });
    const { reply: room } = await this.back.answer("get", { roomID, sync: true });
    if (page.error || room.error || page.nextFlag || page.sequence !== room.sequence) return; // it has ended, is large, or changes
    await watched.at(room);
    const { members, attributes } = fold(watched.now.filter((e) => e.data.sequence <= room.sequence));
    this.equal(`the members of ${roomID} by its facts up to ${room.sequence}`, members, page.memberList);
    this.equal(`the attributes of ${roomID} by its facts up to ${room.sequence}`, attributes, room.room.attributes);
    this.equal(`memberCount of ${roomID}`, room.room.memberCount, members.length);
  }

  /** Leaves nothing behind. */
  async end() {
    await Promise.allSettled(this.#rooms.map((roomID) => this.back.raw("destroy", JSON.stringify({ roomID }))));
    for (const heard of [...this.#watched.values(), ...this.#listening]) {
      this.deployment.used.heard(heard.events);
      heard.stop();
    }
    await Promise.allSettled(this.#closing.map((nc) => nc.close()));
  }
}

const plain = (value) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));
