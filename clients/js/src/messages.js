// How the messages of a room are heard: each stored one once and in order.

import { Ear, isGone } from "./ear.js";
import { eventIn } from "./facts.js";
import { number, subjects, type } from "./wire.js";

export async function* messages(source, { roomID, afterMessageSeq, last = 0, mayNotExist = false, every, lost = () => {}, deleted = () => {} }, signal) {
  const ear = new Ear(source, { roomID, every }, signal, (subject) => !subjects.areFacts(subject));
  try {
    yield* new Hearing(ear, source, roomID, { lost, deleted }).run({ afterMessageSeq, last, mayNotExist });
  } finally {
    ear.close();
  }
}

class Hearing {
  #ear;
  #user; // the end user who listens, if it is one
  #roomID;
  #lost;
  #deleted;
  #instanceID; // that of the newest message, or as the service said
  #last = 0; // the newest message
  #based = false; // whether that says where to start
  #told = false; // that some after it are lost
  #out = false; // the user may not read the room, as the service said

  constructor(ear, { trusted, userID }, roomID, { lost, deleted }) {
    this.#ear = ear;
    this.#user = trusted ? undefined : userID;
    this.#roomID = roomID;
    this.#lost = lost;
    this.#deleted = deleted;
  }

  async *run({ afterMessageSeq, last, mayNotExist }) {
    const now = await this.#ear.begin(mayNotExist);
    let past = [];
    this.#based = afterMessageSeq !== undefined || now.instanceID !== undefined;
    if (afterMessageSeq !== undefined) this.#last = afterMessageSeq;
    else if (now.instanceID) past = await this.#past(now.instanceID, last);
    await this.#ear.listen(now.subscribe);
    yield; // it listens
    for (const event of past) yield* this.#give(event);
    yield* this.#look(); // for what was said before it listened
    for (;;) {
      const { copy, head } = await this.#ear.next();
      if (copy) yield* this.#take(copy);
      else if (!head || head.messageSeq > this.#last) yield* this.#look();
    }
  }

  /** The newest messages; what comes after them is heard. */
  async #past(instanceID, count) {
    try {
      const page = await this.#ear.ask("history", { instanceID, beforeMessageSeq: 0, count: Math.max(count, 1), sync: true });
      this.#instanceID = page.instanceID;
      const events = count > 0 ? page.events : [];
      this.#last = events.length > 0 ? events[0].data.messageSeq - 1 : page.messageSeq ?? 0;
      return events;
    } catch (err) {
      if (isGone(err)) return [];
      throw err;
    }
  }

  /** Handles a copy. What is not a message or cannot be read is ignored. */
  async *#take(copy) {
    const event = eventIn(copy);
    if (event?.type === type("member.left") && event.data.memberList.some((m) => m.userID === this.#user)) this.#ear.look(); // it may hear nothing more
    if (event?.type === type("message.deleted") && event.data.roomID === this.#roomID) yield* this.#delete(event, copy);
    if (event?.type !== type("message.sent") || event.data.roomID !== this.#roomID) return;
    const seq = number(copy, "Nats-Sequence");
    if (seq === 0) return yield event; // live only
    if (seq <= this.#last) return;
    const before = number(copy, "Nats-Last-Sequence");
    if (before > this.#last) yield* this.#fill(event.data.instanceID, before);
    event.data.messageSeq = seq;
    this.#ear.sure();
    yield* this.#give(event);
  }

  /** Handles the deletion of messages, which has a place of its own among them. */
  async *#delete({ data }, copy) {
    const seq = number(copy, "Nats-Sequence");
    if (seq <= this.#last) return;
    if (number(copy, "Nats-Last-Sequence") > this.#last) {
      if (data.instanceID !== this.#instanceID) return; // what is missing shows at the next message
      yield* this.#fill(data.instanceID);
    }
    this.#last = Math.max(this.#last, seq);
    this.#deleted(data);
  }

  async *#give(event) {
    if (event.data.messageSeq <= this.#last) return;
    this.#instanceID = event.data.instanceID;
    this.#last = event.data.messageSeq;
    this.#told = false;
    yield event;
  }

  /** Reads what was said after the last message, if there is a room. It handles what was heard first. */
  async *#look() {
    let now;
    try {
      now = await this.#ear.ask("get", { sync: true });
      this.#out = false;
      await this.#ear.listen(now.subscribe);
    } catch (err) {
      if (err.code === "NOT_ALLOWED" && !this.#out) {
        this.#out = true;
        return this.#ear.soon(); // it may come back at once
      }
      if (!isGone(err)) {
        yield* this.#fill(); // last words, if that is another room of that name
        throw err;
      }
    }
    for (const copy of this.#ear.heard()) yield* this.#take(copy);
    if (this.#ear.aside) return;
    if (now?.instanceID || this.#instanceID) yield* this.#fill(now?.instanceID); // last words, if the room ended
  }

  /**
   * Reads what was said after the last message: in the instance of that one, in those after it,
   * and in the given one, if there is a room. before is the message before one that was heard:
   * if it can be read nowhere, it is lost.
   */
  async *#fill(instanceID, before = 0) {
    let whole = true;
    for (let old = this.#instanceID; old && old !== instanceID; ) {
      const { next, read } = yield* this.#read(old);
      whole &&= read || old !== this.#instanceID; // one in between that can't be read is not for this user
      if (read) this.#instanceID = old;
      old = next;
    }
    if (instanceID) {
      const { read } = yield* this.#read(instanceID);
      if (read) this.#instanceID = instanceID;
      whole &&= read;
    }
    if (!whole && this.#based && before > this.#last) this.#lose();
    this.#based = true;
  }

  /**
   * Reads what was said in an instance. read is false if the service does not know it any more;
   * next is the instance after it, if it has ended and there is one.
   */
  async *#read(instanceID) {
    for (let at = this.#last; ; ) {
      let page;
      try {
        page = await this.#ear.ask("history", { instanceID, afterMessageSeq: at, sync: true });
      } catch (err) {
        if (!isGone(err) && err.code !== "NOT_ALLOWED") throw err;
      }
      if (page?.instanceID !== instanceID) return { read: false };
      const ended = page.messageSeq === undefined;
      if (!page.complete && (ended || page.messageSeq > at)) this.#lose(); // of an ended one, also if it could not be found out what comes after it
      if (page.deleted) this.#deleted({ roomID: this.#roomID, instanceID, messageSeqs: page.deleted });
      for (const event of page.events) yield* this.#give(event);
      const from = at;
      at = Math.max(at, Number(page.nextFlag || 0), ended ? 0 : this.#last);
      // What is not for this user is not on the page, but has been looked at; of an ended instance that says nothing about the next one.
      if (!ended) this.#last = at;
      if (at === from || at >= page.messageSeq) return { read: true, next: page.nextInstanceID };
    }
  }

  /** Some messages may be lost for good. It is told once after each message. */
  #lose() {
    if (!this.#told) this.#lost(this.#last);
    this.#told = true;
  }
}
