// What the client knows about its own session, and the renewal of its lease.

import { linkOf } from "./link.js";

const minLease = 5;

// How many rooms a renewal may name.
const namesAtOnce = 100;

export class Presence {
  #renewing; // the renewal that is under way
  #send;
  #signal;
  #timer;
  #kept = false; // the session is renewed when it is due
  #leases = 0; // how many replies named a lease
  #moves = 0; // how many leaves were begun so far, and how many were told by notices
  #moving = 0; // how many of the former have not ended
  #listeners = new Set();

  rooms = new Map(); // where the session is: roomID to {instanceID, sequence}
  lease = 0; // ms

  constructor(nc, send, signal) {
    this.#send = send;
    this.#signal = signal;
    const off = linkOf(nc).on((now) => now === "up" && this.#due());
    const shown = () => document.visibilityState === "visible" && this.#due(); // its timers may have been late
    globalThis.document?.addEventListener("visibilitychange", shown);
    signal.addEventListener("abort", () => {
      off();
      clearTimeout(this.#timer);
      globalThis.document?.removeEventListener("visibilitychange", shown);
    });
  }

  /** Calls listener with every renewal, {heads, lost}, until the returned function is called. */
  on(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  put(roomID, { instanceID, sequence }) {
    this.rooms.set(roomID, { instanceID, sequence });
  }

  /** The session left rooms. A renewal that is on its way may still say what was true before. */
  drop(...roomIDs) {
    this.#moves++;
    for (const id of roomIDs) this.rooms.delete(id);
  }

  /** A notice says that the session left a room. False if it is older than the session's joining. */
  out(roomID, { instanceID, sequence = 0 }) {
    const stay = this.rooms.get(roomID);
    if (stay && (stay.instanceID !== instanceID || stay.sequence >= sequence)) return false;
    this.drop(roomID);
    return true;
  }

  /** A command that leaves rooms begins, and ends with the returned function: a renewal in between proves nothing. */
  leaving() {
    this.#moves++;
    this.#moving++;
    return () => this.#moving--;
  }

  /** A reply stated the session's lease. */
  leased(seconds) {
    this.#leases++;
    const was = this.lease;
    this.lease = Math.max(seconds ?? 0, minLease) * 1000;
    if (this.#kept && this.lease < was) this.#due();
    if (!this.#kept) this.#schedule();
  }

  /** Renews the session, once at a time. */
  renew() {
    return (this.#renewing ??= this.#renew().finally(() => (this.#renewing = undefined)));
  }

  #schedule() {
    this.#kept = true;
    clearTimeout(this.#timer);
    if (!this.#signal.aborted) this.#timer = setTimeout(() => this.#due(), this.lease / 3);
  }

  /** Renews if the session has to be renewed, and goes on until it has no lease or is in no room. */
  async #due() {
    if (!this.#kept) return;
    clearTimeout(this.#timer);
    let leases = this.#leases;
    const result = await this.renew().catch(() => {}); // the next one makes up for it
    if (this.#signal.aborted) return;
    if (result?.leased && result.heads.length === 0) leases++; // by this one; further ones are of a command that may have joined a room since
    const idle = result && result.heads.length === 0 && this.rooms.size === 0 && this.#leases === leases;
    const unleased = result && !result.leased && this.#leases === leases;
    if (idle || unleased) this.#kept = false;
    else this.#schedule();
  }

  async #renew() {
    const before = new Map(this.rooms);
    const moves = this.#moves;
    const quiet = this.#moving === 0;
    const names = [...before].map(([roomID, { instanceID }]) => ({ roomID, instanceID }));
    const options = { signal: this.#signal, ...(this.lease && { timeout: Math.min(15_000, this.lease / 3) }) };
    const renewal = { heads: [], lost: [] };
    const left = [];
    for (let nextFlag; nextFlag !== ""; ) {
      const page = await this.#send(nextFlag ? { nextFlag } : { rooms: names.splice(0, namesAtOnce) }, options);
      renewal.heads.push(...page.rooms);
      left.push(...(page.left ?? [])); // an older service does not say why
      renewal.leased = Boolean(page.expiresAt);
      nextFlag = page.nextFlag || (names.length > 0 ? undefined : ""); // with more names, from the start
    }
    if (quiet && moves === this.#moves) renewal.lost = this.#settle(before, renewal.heads, left);
    for (const listener of [...this.#listeners]) listener(renewal);
    return renewal;
  }

  /** Notes where the session is, and returns the rooms in which, as far as the client knew, it still was. */
  #settle(before, heads, left) {
    for (const { roomID, instanceID, sequence } of heads) {
      const now = this.rooms.get(roomID);
      if (!now || now.instanceID === before.get(roomID)?.instanceID) this.rooms.set(roomID, { instanceID, sequence });
      before.delete(roomID);
    }
    const lost = [];
    for (const [roomID, { instanceID }] of before) {
      if (this.rooms.get(roomID)?.instanceID !== instanceID) continue;
      this.rooms.delete(roomID);
      lost.push({ roomID, instanceID, left: left.find((l) => l.roomID === roomID && l.instanceID === instanceID) });
    }
    return lost;
  }
}
