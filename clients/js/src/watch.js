// How a room is watched: every fact once and in order, whatever is lost on the way.

import { Ear, isGone } from "./ear.js";
import { eventIn } from "./facts.js";
import { jitter, pause } from "./retry.js";
import { isFact, Roster } from "./roster.js";
import { number, subjects, type } from "./wire.js";

// A snapshot of a room that changed while it was read is tried again after a pause.
const firstPause = 20;
const maxPause = 2000;

export async function* watch(source, { roomID, mayNotExist = false, every }, signal) {
  const ear = new Ear(source, { roomID, every }, signal, (subject) => !subjects.areMessages(subject));
  try {
    yield* new Watch(ear, source, roomID, signal).run(mayNotExist);
  } finally {
    ear.close();
  }
}

class Watch {
  #ear;
  #signal;
  #roomID;
  #user; // the end user who watches, if it is one
  #roster; // undefined if there is no room
  #instanceID; // the roster's, or that of the room that ended
  #revision = 0; // the highest that was heard or in a snapshot
  #missing = false; // the service said that the room is gone, and nothing was heard since
  #skipped = false; // facts of instances after that one could not be told

  constructor(ear, { trusted, userID }, roomID, signal) {
    this.#ear = ear;
    this.#signal = signal;
    this.#roomID = roomID;
    this.#user = trusted ? undefined : userID;
  }

  #update(update) {
    return { recovered: false, ...update, roster: this.#roster };
  }

  async *run(mayNotExist) {
    const { subscribe } = await this.#ear.begin(mayNotExist);
    await this.#ear.listen(subscribe);
    yield; // it listens
    yield* this.#refresh("start");
    for (;;) {
      const { copy, head } = await this.#ear.next();
      if (copy) yield* this.#take(copy);
      else if (head) yield* this.#compare(head);
      else yield* this.#look();
    }
  }

  /** A fresh snapshot. */
  async *#refresh(why) {
    try {
      const roster = await this.#snapshot();
      if (this.#instanceID && roster.instanceID !== this.#instanceID) {
        yield* this.#leave(roster.instanceID);
        why = this.#another();
      }
      // What was heard before is older, or of a journal that has lost its end since.
      this.#begin(roster, roster.room.revision);
    } catch (err) {
      if (!isGone(err)) throw err;
      if (!this.#roster && why !== "start") return;
      this.#roster = undefined;
    }
    yield this.#update({ fresh: why });
  }

  #begin(roster, revision) {
    this.#roster = roster;
    this.#instanceID = roster.instanceID;
    this.#revision = revision;
    this.#missing = false;
  }

  /** Handles a copy. What cannot be read is ignored: if it was a fact, the next one shows that it is missing. */
  async *#take(copy) {
    const fact = eventIn(copy);
    const revision = number(copy, "Nats-Sequence");
    if (!fact || !isFact(fact) || fact.data.roomID !== this.#roomID || (revision > 0 && revision <= this.#revision)) return;
    const { instanceID, sequence } = fact.data;
    if (!this.#roster && instanceID === this.#instanceID) return; // of the room that ended
    if (instanceID !== this.#instanceID && (this.#roster || number(copy, "Nats-Last-Sequence") > this.#revision)) yield* this.#leave(instanceID);
    if (!this.#roster && fact.type === type("room.created")) {
      this.#begin(Roster.born(fact, revision), revision);
      yield this.#update({ fact, revision, fresh: this.#another() });
    } else if (!this.#roster || instanceID !== this.#instanceID) {
      yield* this.#refresh("instance");
    } else if (sequence > this.#roster.sequence + 1) {
      yield* this.#fill(revision);
    } else if (sequence > this.#roster.sequence) {
      this.#ear.sure();
      yield* this.#fold({ fact, revision });
    }
  }

  /** Applies the next fact. */
  async *#fold(update) {
    const { fact, revision = 0 } = update;
    this.#revision = Math.max(this.#revision, revision);
    this.#missing = false;
    const was = this.#isIn();
    const fits = this.#roster.fold(fact, revision);
    if (!fits) return yield* this.#refresh("gap");
    if (fact.type === type("room.destroyed")) this.#roster = undefined;
    else if (was && !this.#isIn()) this.#ear.look(); // an end user may hear nothing more
    yield this.#update(update);
  }

  /** Whether the end user who watches is a member. */
  #isIn() {
    return this.#user !== undefined && this.#roster.get(this.#user) !== undefined;
  }

  /** Reads the facts that were missed. revision is that of a fact after them, if it is known. */
  async *#fill(revision) {
    for (;;) {
      let page;
      try {
        page = await this.#history(revision ? { minRevision: revision } : { sync: true });
      } catch (err) {
        return isGone(err) ? yield* this.#absent() : this.#shutOut(err);
      }
      if (page.instanceID !== this.#instanceID) return yield* this.#refresh("instance");
      if (!page.complete) return yield* this.#refresh("gap");
      if (!(yield* this.#recover(page))) return;
    }
  }

  #history(freshness) {
    return this.#ear.ask("history", { instanceID: this.#instanceID, afterSequence: this.#roster.sequence, ...freshness });
  }

  /** Applies a page of facts. Returns whether there are more of the instance. */
  async *#recover({ events, sequence }) {
    for (const fact of events) {
      if (!isFact(fact) || fact.data.sequence !== this.#roster.sequence + 1) {
        yield* this.#refresh("gap");
        return false;
      }
      yield* this.#fold({ fact, recovered: true });
      if (this.#roster?.sequence !== fact.data.sequence) return false;
    }
    return events.length > 0 && this.#roster.sequence < sequence;
  }

  /** Why the roster is that of another instance. */
  #another() {
    const why = this.#skipped ? "gap" : "instance";
    this.#skipped = false;
    return why;
  }

  /** Tells the last facts of the room, and those of the instances after it, up to the given one. */
  async *#leave(upTo) {
    if (this.#roster) yield* this.#replay(this.#instanceID);
    if (this.#roster) {
      this.#roster = undefined;
      yield this.#update({});
    }
    yield* this.#pass(upTo);
  }

  /** Tells the facts of the instances after one that has ended, up to the given one. */
  async *#pass(upTo) {
    while (!this.#roster && this.#instanceID) {
      const page = await this.#past(this.#instanceID, Number.MAX_SAFE_INTEGER);
      if (page && !page.complete) this.#skipped = true;
      const next = page?.nextInstanceID;
      if (!next || next === upTo) return;
      this.#instanceID = next;
      if (!(yield* this.#replay(next))) this.#skipped = true;
      else if (this.#roster) return; // it is the room that exists
      if (!this.#roster) continue;
      this.#roster = undefined;
      yield this.#update({});
    }
  }

  /** Tells the facts of an instance that the roster does not have yet. False if some of them can't be read. */
  async *#replay(instanceID) {
    for (let nextFlag; nextFlag !== ""; ) {
      const page = await this.#past(instanceID, this.#roster?.sequence ?? 0);
      if (!page?.complete || page.events.length === 0) return false;
      for (const fact of page.events) {
        const first = !this.#roster;
        if (!isFact(fact) || (first ? fact.type !== type("room.created") : !this.#roster.fold(fact, 0))) return false;
        if (first) this.#begin(Roster.born(fact, 0), this.#revision);
        if (fact.type === type("room.destroyed")) this.#roster = undefined;
        yield this.#update({ fact, recovered: true, ...(first && { fresh: this.#another() }) });
        if (!this.#roster) return true;
      }
      ({ nextFlag } = page);
    }
    return true;
  }

  /** A page of facts of an instance; undefined if there are none that may be read. */
  async #past(instanceID, afterSequence) {
    try {
      const page = await this.#ear.ask("history", { instanceID, afterSequence, sync: true });
      return page.instanceID === instanceID ? page : undefined;
    } catch (err) {
      if (!isGone(err) && err.code !== "NOT_ALLOWED") throw err;
    }
  }

  /** Asks for the room's position. */
  async *#look() {
    let now;
    try {
      now = await this.#ear.ask("get", { sync: true });
    } catch (err) {
      return isGone(err) ? yield* this.#absent() : this.#shutOut(err);
    }
    await this.#ear.listen(now.subscribe);
    if (now.instanceID === this.#instanceID && now.sequence < this.#roster?.sequence) return yield* this.#refresh("gap"); // the journal lost its end
    yield* this.#compare(now);
  }

  /** Checks whether it lacks facts that the service knows. Without a revision the instance may be an earlier one. */
  async *#compare({ instanceID, sequence, revision }) {
    for (const copy of this.#ear.heard()) yield* this.#take(copy);
    const other = !this.#roster || instanceID !== this.#instanceID;
    if (other && !revision) return yield* this.#look();
    if (!this.#roster && instanceID === this.#instanceID) return; // it ended since
    if (other) return yield* this.#refresh("instance");
    if (sequence > this.#roster.sequence && !this.#ear.aside) yield* this.#fill(revision);
  }

  /** There is no such room. The service also says so of one that is about to end, so the fact of its end gets a moment. */
  async *#absent() {
    const asked = this.#instanceID;
    for (const copy of this.#ear.heard()) yield* this.#take(copy);
    if (this.#instanceID !== asked) return; // there is another room since
    if (!this.#roster) return yield* this.#pass();
    if (!this.#missing) {
      this.#missing = true;
      return this.#ear.soon();
    }
    yield* this.#leave();
  }

  /** The user may not read the room any more. The fact that it left, which it may hear, gets a moment to arrive. */
  #shutOut(why) {
    if (this.#missing || why.code !== "NOT_ALLOWED") throw why;
    this.#missing = true;
    this.#ear.soon();
  }

  /** The room as it is at one moment. */
  async #snapshot() {
    for (let next = firstPause; ; next = Math.min(2 * next, maxPause)) {
      const roster = await this.#read();
      if (roster) return roster;
      await pause(jitter(next), this.#signal);
      this.#signal.throwIfAborted();
    }
  }

  /** One try, which gives undefined if the room changed too much while it was read. */
  async #read() {
    let now = await this.#ear.ask("get", { sync: true });
    while (await this.#ear.listen(now.subscribe)) now = await this.#ear.ask("get", { sync: true }); // something may have happened before it listened
    const roster = new Roster(now.room, now.sequence, now.revision);
    let newest = now.sequence;
    for (let nextFlag; nextFlag !== ""; ) {
      const page = await this.#ear.ask("members", { nextFlag, minRevision: now.revision });
      if (page.instanceID !== now.instanceID) return;
      roster.add(page);
      newest = Math.max(newest, page.sequence);
      nextFlag = page.nextFlag;
    }
    while (roster.sequence < newest) { // brings all pages to the moment of the newest
      const page = await this.#ear.ask("history", { instanceID: now.instanceID, afterSequence: roster.sequence, sync: true });
      if (page.instanceID !== now.instanceID || !page.complete || page.events.length === 0) return;
      for (const fact of page.events.slice(0, newest - roster.sequence)) {
        if (fact.data.sequence !== roster.sequence + 1) return;
        roster.merge(fact);
      }
    }
    return roster.isWhole ? roster : undefined;
  }
}
