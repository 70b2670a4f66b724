// What happened and was said in one instance of a room, in the one order that it has.

import { whole } from "../../../../../clients/js/src/facts.js";
import { type } from "../../../../../clients/js/src/wire.js";

const [sent, deleted] = ["message.sent", "message.deleted"].map(type);

/** How much of a live room is remembered; what is older is read again when it is asked for. */
const most = 4000;

/** An entry of a timeline: where it comes in the order, and what it says. */
function entry(event, arrival) {
  const { data, type: what, time, id } = event;
  const base = { id, type: what, at: Date.parse(time), event, data };
  if (what === sent) {
    // After the fact that it names, among the messages after that fact in the order in which they
    // are stored; those that are not stored where they were heard.
    return { ...base, said: true, order: [data.afterSequence ?? 0, 1, data.messageSeq ?? arrival, data.messageSeq ? 0 : 1] };
  }
  if (what === deleted) return { ...base, order: [arrival.fact, 1, arrival.message, 2] };
  return { ...base, order: [data.sequence, 0, 0, 0] };
}

const compare = (a, b) => {
  for (let i = 0; i < 4; i++) if (a.order[i] !== b.order[i]) return a.order[i] - b.order[i];
  return 0;
};

export class Timeline {
  entries = []; // oldest first
  gone = new Set(); // messageSeqs of messages that were deleted
  #ids = new Set();
  #newestFact = 0;
  #newestMessage = 0;

  /** Takes a fact, a message or a deletion; false if it is here already. */
  add(raw) {
    const event = whole(raw);
    if (this.#ids.has(event.id)) return false;
    this.#ids.add(event.id);
    if (event.type === deleted) event.data.messageSeqs.forEach((seq) => this.gone.add(seq));
    const it = entry(event, event.type === deleted ? { fact: this.#newestFact, message: this.#newestMessage } : this.#newestMessage);
    if (it.said) this.#newestMessage = Math.max(this.#newestMessage, event.data.messageSeq ?? 0);
    else if (event.type !== deleted) this.#newestFact = Math.max(this.#newestFact, event.data.sequence);
    let i = this.entries.length;
    while (i > 0 && compare(this.entries[i - 1], it) > 0) i--;
    this.entries.splice(i, 0, it);
    return true;
  }

  /** Takes a page of history, however old. */
  addAll(events) {
    const before = this.entries;
    this.entries = [];
    for (const event of events) this.add(event);
    this.entries = [...before, ...this.entries].sort(compare);
  }

  /** Forgets the oldest of what is too much. Returns how much was forgotten. */
  trim() {
    const over = this.entries.length - most;
    if (over <= 0) return 0;
    for (const { id } of this.entries.splice(0, over)) this.#ids.delete(id);
    return over;
  }
}
