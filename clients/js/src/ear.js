// Listens to a room, and knows when it may have missed something.

import { connectionClosed } from "./errors.js";
import { linkOf } from "./link.js";
import { persistent } from "./retry.js";
import { Bell } from "./stream.js";
import { subjects, token } from "./wire.js";

// How many copies wait while the loop is busy, or while the service is asked. Further ones
// are dropped, and read by history later.
const heardAhead = 4096;

// How often the room's position is asked for if nothing else tells it: a third of the usual lease.
const askEvery = 20_000;

// How long to wait for the fact of an end after the service has answered that there is no such
// room. If the fact has not arrived by then, it is lost.
const endsWithin = 2000;

export const isGone = (err) => err.code === "ROOM_NOT_EXIST";

export class Ear {
  #source;
  #roomID;
  #wants;
  #every;
  #signal;
  #subscriptions = new Map();
  #copies = [];
  #head; // the room's position as the newest renewal told it
  #failure;
  #doubt = false; // something may be missing: time to look
  #bell = new Bell();
  #off = [];
  #timer;

  aside = false; // what comes on the feed is for other sessions of the user

  constructor(source, { roomID, every = askEvery }, signal, wants) {
    this.#source = source;
    this.#roomID = roomID;
    this.#wants = wants;
    this.#every = every;
    this.#signal = signal;
    const ring = () => this.#bell.ring();
    signal.addEventListener("abort", ring);
    this.#off = [
      () => signal.removeEventListener("abort", ring),
      linkOf(source.nc).on((now) => (now === "up" ? this.look() : ring())),
      source.onRenewal(({ heads }) => {
        this.#head = heads.find((h) => h.roomID === roomID) ?? this.#head;
        ring();
      }),
    ];
    this.sure();
  }

  close() {
    clearTimeout(this.#timer);
    this.#off.forEach((stop) => stop());
    if (!this.#source.nc.isClosed()) for (const subscription of this.#subscriptions.values()) subscription.unsubscribe();
  }

  /** The room as get answers, or, if there is none and that is allowed, the subjects on which one could be heard. */
  async begin(mayNotExist) {
    try {
      return await this.#source.ask("get", { roomID: this.#roomID, sync: true }, this.#signal);
    } catch (err) {
      if (!isGone(err) || !mayNotExist) throw err;
      const { trusted, userID } = this.#source;
      if (trusted) return { subscribe: [subjects.facts(this.#roomID), subjects.messages(this.#roomID)] };
      return { subscribe: [subjects.feed(userID, this.#roomID), subjects.open(this.#roomID)] };
    }
  }

  /** Subscribes to these subjects from now on and to no others. False if it already did. */
  async listen(names) {
    const wanted = new Set(names.filter(this.#wants));
    if (wanted.size === 0 || (wanted.size === this.#subscriptions.size && [...wanted].every((s) => this.#subscriptions.has(s)))) return false;
    for (const [subject, subscription] of this.#subscriptions) {
      if (wanted.has(subject)) continue;
      subscription.unsubscribe();
      this.#subscriptions.delete(subject);
    }
    for (const subject of wanted) {
      if (this.#subscriptions.has(subject)) continue;
      this.#subscriptions.set(subject, this.#source.nc.subscribe(subject, { callback: (err, message) => this.#hear(err, message) }));
    }
    await this.#source.flush(this.#signal);
    return true;
  }

  #hear(err, message) {
    if (err) this.#failure = err;
    else if (!this.#isOwn(message)) return;
    else if (this.#copies.length >= heardAhead) this.#doubt = true;
    else this.#copies.push(message);
    this.#bell.ring();
  }

  /** A copy on a feed may be for other sessions of the user only. */
  #isOwn({ headers }) {
    const sessions = headers?.get("Room-Sessions");
    if (sessions) this.aside = !sessions.split(",").includes(token(this.#source.sessionID));
    return !this.aside || !sessions;
  }

  /** What is next: a copy; a head, the room's position as a renewal told it; or neither: time to ask for the position. */
  async next() {
    for (;;) {
      this.#signal.throwIfAborted();
      if (this.#failure) throw this.#failure;
      if (this.#copies.length > 0) return { copy: this.#copies.shift() };
      if (linkOf(this.#source.nc).closed) throw connectionClosed();
      if (this.#doubt) {
        this.#doubt = false;
        return {};
      }
      if (this.#head) {
        const head = this.#head;
        this.#head = undefined;
        this.aside = false; // the session is in
        this.#arm(this.#every * 1.5); // the next renewal comes before that
        return { head };
      }
      await this.#bell.heard();
    }
  }

  /** The copies that were heard so far. */
  *heard() {
    for (let n = this.#copies.length; n > 0 && this.#copies.length > 0; n--) yield this.#copies.shift();
  }

  /** Nothing is known to be missing, so asking can wait. */
  sure() {
    this.#arm(this.#every);
  }

  /** The fact of an end gets a moment to arrive. */
  soon() {
    this.#arm(endsWithin);
  }

  look() {
    this.#doubt = true;
    this.#bell.ring();
  }

  #arm(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.sure();
      this.look();
    }, ms);
  }

  /** Asks until there is an answer that would not change if it asked again. */
  ask(verb, body) {
    return persistent(() => this.#source.ask(verb, { roomID: this.#roomID, ...body }, this.#signal), this.#signal);
  }
}
