// One room as the page knows it: read once, and from then on kept as its facts and messages say.

import { Roster } from "../../../../../clients/js/src/roster.js";
import { whole } from "../../../../../clients/js/src/facts.js";
import { type } from "../../../../../clients/js/src/wire.js";
import { Away, command, follow, get } from "./api.js";
import { Store } from "./store.js";
import { Timeline } from "./timeline.js";

const [attributesChanged, accessChanged, updated, left, destroyed] = ["room.attributes.changed", "room.access.changed", "room.updated", "member.left", "room.destroyed"].map(type);

const everyLease = 15_000;
const firstEvents = 100;

/** All pages of a command or, with read, of something else. */
export async function* pages(verb, body, signal, read = (q) => command(verb, q, signal)) {
  for (let nextFlag; nextFlag !== ""; ) {
    const page = await read({ ...body, ...(nextFlag && { nextFlag }) });
    yield page;
    ({ nextFlag } = page);
  }
}

export class RoomWatch {
  /** Changes at most four times a second, whatever happens in the room. */
  version = new Store(0);

  state = "reading"; // reading, live, absent
  why = ""; // it could not be read
  details = null; // what the command get says: owners, bans, mutes
  roster = null;
  timeline = new Timeline();
  instances = [];
  leases = new Map(); // by user and session
  leasesAt = 0;
  heard = []; // when events came, in the last ten seconds
  older = { facts: 0, messages: null, busy: false, why: "" }; // after which fact what is here begins, and how to ask for messages before it

  #stop = new AbortController();
  #waiting = null; // events that came while the room was read
  #reading = null; // the read that counts
  #timers = new Map();
  #unfollow;

  constructor(roomID) {
    this.roomID = roomID;
    this.#unfollow = follow("events", { room: roomID }, ["hello", "fact", "message"], (name, data) => this.#take(name, data), () => {
      this.why = "roomd does not give the events of this room; the page goes on asking";
      this.#changed();
    });
    this.#every(everyLease, () => this.#readLeases());
  }

  close() {
    this.#stop.abort();
    this.#reading?.abort();
    this.#unfollow();
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  get instanceID() {
    return this.roster?.instanceID;
  }

  #every(ms, what) {
    const turn = () => {
      if (!document.hidden) what();
      this.#timers.set("every", setTimeout(turn, ms));
    };
    this.#timers.set("every", setTimeout(turn, ms));
  }

  /** Does something soon, once, however often it is asked for. */
  #soon(name, ms, what) {
    if (this.#timers.has(name)) return;
    this.#timers.set(name, setTimeout(() => {
      this.#timers.delete(name);
      what();
    }, ms));
  }

  #changed() {
    this.#soon("changed", 250, () => {
      const since = Date.now() - 10_000;
      let old = 0;
      while (old < this.heard.length && this.heard[old] < since) old++;
      if (old > 0) this.heard.splice(0, old);
      if (this.timeline.trim() > 0) this.#forgot();
      this.version.value += 1;
    });
  }

  /** The timeline begins later than it did. */
  #forgot() {
    const { entries } = this.timeline;
    const fact = entries.find((entry) => entry.order[1] === 0);
    const message = entries.find((entry) => entry.data.messageSeq);
    this.older = { ...this.older, facts: fact ? fact.data.sequence - 1 : this.roster.sequence, messages: { beforeMessageSeq: message?.data.messageSeq ?? 0 } };
  }

  #take(name, data) {
    if (name === "hello") return this.#hello(data);
    if (this.#waiting) this.#waiting.push([name, data]);
    else this.#apply(name, data);
  }

  #apply(name, raw) {
    const event = whole(raw);
    if (!this.roster || event.roominstance !== this.instanceID) return;
    if (name === "message") {
      if (this.timeline.add(event)) this.heard.push(Date.now());
      return this.#changed();
    }
    const { sequence } = event.data;
    if (sequence <= this.roster.sequence) return;
    if (!this.roster.fold(event, 0) && event.type !== destroyed) return this.#read(); // something is missing
    this.timeline.add(event);
    this.heard.push(Date.now());
    if (event.type === destroyed) {
      this.state = "absent";
      this.#soon("instances", 500, () => this.#readInstances().catch(() => {}));
    } else if ([attributesChanged, accessChanged, updated].includes(event.type) || (event.type === left && event.data.deletedAttributes)) {
      this.#soon("details", 500, () => this.#readDetails().catch(() => {}));
    }
    this.#changed();
  }

  #hello(hello) {
    if (hello.exists) return this.#read(hello.revision);
    this.state = "absent";
    this.#readInstances().catch(() => {});
    this.#changed();
  }

  /** Reads the whole room. What comes meanwhile waits. */
  async #read(minRevision) {
    this.#reading?.abort();
    const reading = (this.#reading = new AbortController());
    this.#waiting = [];
    try {
      const roster = await this.#snapshot(minRevision, reading.signal);
      if (reading.signal.aborted) return;
      if (roster.instanceID !== this.instanceID) this.timeline = new Timeline();
      this.roster = roster;
      this.state = "live";
      this.why = "";
      const waiting = this.#waiting;
      this.#waiting = null;
      for (const [name, data] of waiting) {
        if (this.#waiting) this.#waiting.push([name, data]); // one of them had it read again
        else this.#apply(name, data);
      }
      this.#changed();
      await Promise.all([this.#readEvents(reading.signal), this.#readInstances().catch(() => {}), this.#readLeases()]);
      this.#changed();
    } catch (err) {
      if (reading.signal.aborted) return;
      this.#waiting = null;
      if (err.code === "ROOM_NOT_EXIST") {
        this.state = "absent";
        this.#readInstances().catch(() => {});
      } else if (!(err instanceof Away)) {
        this.why = err.message;
        this.#soon("again", 2000, () => this.#read(minRevision));
      }
      this.#changed();
    }
  }

  /** The room at one moment; members whose pages are of different moments are brought to the newest. */
  async #snapshot(minRevision, signal) {
    for (;;) {
      const now = await command("get", { roomID: this.roomID, ...(minRevision && { minRevision }) }, signal);
      const roster = new Roster(now.room, now.sequence, now.revision);
      let newest = now.sequence, same = true;
      for await (const page of pages("members", { roomID: this.roomID, minRevision: now.revision }, signal)) {
        same &&= page.instanceID === now.instanceID;
        roster.add(page);
        newest = Math.max(newest, page.sequence);
      }
      while (same && roster.sequence < newest) {
        const page = await command("history", { roomID: this.roomID, instanceID: now.instanceID, afterSequence: roster.sequence, sync: true }, signal);
        if (!page.complete || page.events.length === 0) break;
        for (const fact of page.events.slice(0, newest - roster.sequence)) roster.merge(whole(fact));
      }
      if (same && roster.isWhole) {
        this.details = now;
        return roster;
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
      signal.throwIfAborted();
    }
  }

  async #readDetails() {
    const details = await command("get", { roomID: this.roomID }, this.#stop.signal);
    if (details.instanceID === this.instanceID) this.details = details;
    this.#changed();
  }

  async #readInstances() {
    const { instances } = await command("instances", { roomID: this.roomID, count: 100 }, this.#stop.signal).catch((err) => {
      if (err.code === "ROOM_NOT_EXIST") return { instances: [] };
      throw err;
    });
    this.instances = instances;
    this.#changed();
  }

  async #readLeases() {
    if (this.state !== "live") return;
    try {
      const leases = new Map();
      let at;
      for await (const page of pages("", { room: this.roomID }, this.#stop.signal, (q) => get("leases", q, this.#stop.signal))) {
        for (const lease of page.leases) leases.set(`${lease.userID}\n${lease.sessionID}`, lease);
        at = Date.parse(page.at);
      }
      this.leases = leases;
      this.leasesAt = at;
      this.#changed();
    } catch {
      // the next turn reads them
    }
  }

  #history(body, signal) {
    return command("history", { roomID: this.roomID, instanceID: this.instanceID, count: firstEvents, ...body }, signal);
  }

  async #readEvents(signal) {
    const { timeline } = this;
    const from = Math.max(0, this.roster.sequence - firstEvents);
    const [facts, messages] = await Promise.all([this.#history({ afterSequence: from }, signal), this.#history({ beforeMessageSeq: 0 }, signal)]);
    if (timeline !== this.timeline) return;
    timeline.addAll([...facts.events, ...messages.events]);
    messages.deleted?.forEach((seq) => timeline.gone.add(seq));
    this.#begins(facts, from, messages);
  }

  #begins(facts, from, { nextFlag }) {
    this.older = { facts: facts.complete ? from : 0, messages: nextFlag ? { beforeMessageSeq: 0, nextFlag } : null, busy: false, why: "" };
  }

  get hasOlder() {
    return this.older.facts > 0 || this.older.messages !== null;
  }

  /** Reads what was before what is here. */
  async readOlder() {
    const { timeline, older } = this;
    if (older.busy || !this.hasOlder) return;
    this.older = { ...older, busy: true, why: "" };
    this.version.value += 1;
    try {
      const from = Math.max(0, older.facts - firstEvents);
      const [facts, messages] = await Promise.all([
        older.facts > 0 ? this.#history({ afterSequence: from, count: older.facts - from }) : { events: [], complete: true },
        older.messages ? this.#history(older.messages) : { events: [], nextFlag: "" },
      ]);
      if (timeline !== this.timeline) return;
      timeline.addAll([...facts.events, ...messages.events]);
      this.#begins(facts, from, messages);
    } catch (err) {
      this.older = { ...older, busy: false, why: err.message };
    }
    this.version.value += 1;
  }

  leaseOf(userID, sessionID) {
    return this.leases.get(`${userID}\n${sessionID}`);
  }
}

/** The last moment of an instance that has ended at which somebody was in, or that of its end. */
export async function lastMoment(roomID, { instanceID, sequence, createdAt, endedAt }) {
  const { events } = await command("history", { roomID, instanceID, afterSequence: Math.max(0, sequence - 50) });
  const facts = events.map(whole);
  let i = facts.length;
  while (i > 0 && (facts[i - 1].type === destroyed || facts[i - 1].data.memberList?.some((m) => m.reason === "destroyed") || facts[i - 1].data.memberCount === 0)) i--;
  return Math.max(Date.parse(createdAt), Date.parse(facts[i]?.time ?? endedAt) - 1);
}

/**
 * The room as it was at a moment: who was in, and what happened around then. tell gets it, at
 * first with the first page of members alone.
 */
export async function travel(roomID, at, signal, tell) {
  const time = new Date(at).toISOString();
  let past;
  for await (const page of pages("members", { roomID, at: time }, signal)) {
    if (!past) past = { at, members: [], memberCount: page.memberCount, instanceID: page.instanceID, sequence: page.sequence, complete: page.complete !== false, timeline: null };
    past = { ...past, members: [...past.members, ...page.memberList], done: page.nextFlag === "" };
    tell(past);
  }
  const timeline = new Timeline();
  const body = { roomID, instanceID: past.instanceID };
  const from = Math.max(0, past.sequence - 60);
  const facts = await command("history", { ...body, afterSequence: from, count: 120 }, signal);
  timeline.addAll(facts.events);
  const since = timeline.entries[0]?.at ?? at;
  let read = 0;
  for await (const page of pages("history", { ...body, beforeMessageSeq: 0, count: 500 }, signal)) {
    timeline.addAll(page.events);
    read += page.events.length;
    if (page.events.length === 0 || Date.parse(page.events[0].time) < since || read >= 5000) break;
  }
  timeline.entries = timeline.entries.filter((entry) => entry.order[0] >= from);
  tell({ ...past, timeline });
}
