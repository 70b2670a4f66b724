// What is heard on subjects, and what must be true of all of it.

import { nameOf, readEvent, short } from "./contract.mjs";
import { whole } from "./whole.mjs";
import { arrival, token } from "./wire.mjs";

let patience = 15_000;

/** Sets how long to wait for what must come. */
export const wait = (ms) => (patience = ms);

/** Everything that arrives on some subjects, in order. */
export class Heard {
  events = []; // each with what a fact may leave out, its name, NATS headers, text, and the number of its arrival
  errors = [];
  #looks = new Set();

  constructor(nc, ...subjects) {
    this.subjects = subjects;
    this.subscriptions = subjects.map((subject) => nc.subscribe(subject, { callback: (err, msg) => this.take(err, msg) }));
  }

  take(err, msg) {
    try {
      if (err) throw err;
      const event = readEvent(msg);
      this.events.push({ ...whole(event), name: nameOf(event), headers: msg.headers, text: msg.string(), arrived: arrival() });
    } catch (fault) {
      this.errors.push(new Error(`on ${msg?.subject ?? this.subjects}: ${fault.message}`));
    }
    this.#looks.forEach((look) => look());
  }

  /** Waits for the first true value of condition, which is tried whenever something arrives. */
  until(what, condition, within = patience) {
    return new Promise((resolve, reject) => {
      const end = (settle, value) => {
        clearTimeout(timer);
        this.#looks.delete(look);
        settle(value);
      };
      const timer = setTimeout(() => end(reject, new Error(`expected on ${this.subjects}: ${what}; within ${within / 1000} s there came ${this}`)), within);
      const look = () => {
        const value = this.errors.length === 0 && condition(this.events);
        if (this.errors.length > 0) end(reject, this.errors[0]);
        else if (value) end(resolve, value);
      };
      this.#looks.add(look);
      look();
    });
  }

  /** Waits for an event whose data is like a pattern, or for which a function is true. */
  event(name, like = {}, within) {
    const fits = typeof like === "function" ? like : (data) => Object.entries(like).every(([k, v]) => JSON.stringify(data[k]) === JSON.stringify(v));
    const wanted = typeof like === "function" ? "one that fits" : short(like);
    return this.until(`${name} with ${wanted}`, () => this.events.find((e) => e.name === name && fits(e.data, e)), within);
  }

  of(name) {
    return this.events.filter((e) => e.name === name);
  }

  stop() {
    this.subscriptions.forEach((s) => s.unsubscribe());
  }

  toString() {
    return this.events.length === 0 ? "nothing" : this.events.map((e) => `${e.name} ${short(e.data)}`).slice(-6).join(", ");
  }
}

/** A room as trusted programs hear it. */
export class Watched extends Heard {
  constructor(nc, roomID) {
    super(nc, `room.evt.${token(roomID)}`, `room.msg.${token(roomID)}`);
    this.roomID = roomID;
  }

  get facts() {
    return this.events.filter((e) => !e.name.startsWith("message."));
  }

  get messages() {
    return this.of("message.sent");
  }

  /** The facts of the newest instance. */
  get now() {
    const { facts } = this;
    return facts.slice(facts.findLastIndex((e) => e.name === "room.created"));
  }

  /** Waits for the fact that a reply's position names. */
  at({ instanceID, sequence }) {
    return this.until(`fact ${sequence} of instance ${instanceID}`, () => this.facts.find((e) => e.data.instanceID === instanceID && e.data.sequence === sequence));
  }

  /** Throws if what was heard contradicts itself. */
  check() {
    if (this.errors.length > 0) throw this.errors[0];
    const ids = new Set();
    for (const e of this.events) {
      const at = `${e.name} ${short(e.data)}`;
      const must = (what, is, want) => {
        if (is !== want) throw new Error(`${what} of ${at} must be ${want}; it is ${is}`);
      };
      must("subject", e.subject, this.roomID);
      must("data.roomID", e.data.roomID, this.roomID);
      const source = `/rooms/${token(this.roomID)}/${e.data.instanceID}${e.name.startsWith("message.") ? "/messages" : ""}`;
      if (!e.source.endsWith(source)) must("source", e.source, `...${source}`);
      must("datacontenttype", e.datacontenttype, "application/json");
      must("roominstance", e.roominstance, e.data.instanceID);
      must("partitionkey", e.partitionkey, this.roomID);
      if (ids.has(e.id)) throw new Error(`the id ${e.id} is used twice, at last by ${at}`);
      ids.add(e.id);
    }
    checkFacts(this.facts);
    checkMessages(this.messages);
  }
}

function checkFacts(facts) {
  let before;
  for (const e of facts) {
    const { instanceID, sequence } = e.data;
    const fresh = e.name === "room.created";
    const want = fresh ? 1 : before && before.data.sequence + 1;
    if (want && sequence !== want) throw new Error(`a gap or a repetition: after sequence ${before?.data.sequence ?? 0} came ${sequence} (${e.name}); each fact has the next number, and a room.created has 1`);
    if (e.sequence !== String(sequence).padStart(20, "0")) throw new Error(`the extension sequence of fact ${sequence} is "${e.sequence}"; it must be the number with 20 digits`);
    if (before && fresh !== (before.name === "room.destroyed")) throw new Error(`${e.name} (${sequence}) came after ${before.name}; an instance begins with room.created and ends with room.destroyed`);
    if (before && !fresh && instanceID !== before.data.instanceID) throw new Error(`the instance became ${instanceID} without room.destroyed and room.created`);
    if (before && Date.parse(e.time) < Date.parse(before.time)) throw new Error(`the time of fact ${sequence}, ${e.time}, is before that of the fact before it, ${before.time}`);
    const [own, last] = ["Nats-Sequence", "Nats-Last-Sequence"].map((h) => e.headers.get(h));
    if (!(Number(own) > 0)) throw new Error(`fact ${sequence} has the header Nats-Sequence "${own}"; it must be its revision`);
    if (before && last !== before.headers.get("Nats-Sequence")) throw new Error(`fact ${sequence} has the header Nats-Last-Sequence "${last}"; the room's fact before it has the revision ${before.headers.get("Nats-Sequence")}`);
    before = e;
  }
}

function checkMessages(messages) {
  let before;
  for (const e of messages) {
    const [own, last] = ["Nats-Sequence", "Nats-Last-Sequence"].map((h) => e.headers.get(h));
    if (!["text", "custom"].includes(e.data.type)) {
      if (own) throw new Error(`a ${e.data.type} message is live only, but a copy has the header Nats-Sequence ${own}`);
      continue;
    }
    if (!(Number(own) > 0)) throw new Error(`a ${e.data.type} message has the header Nats-Sequence "${own}"; it must be its messageSeq`);
    if (before && last !== before) throw new Error(`the message ${own} has the header Nats-Last-Sequence "${last}"; the room's message before it is ${before}`);
    before = own;
  }
}

/** What facts say about a room, from the first of an instance on. */
export function fold(facts) {
  const members = new Map();
  const attributes = {};
  let creator, hosts;
  const is = (member, role) => (role === "host" ? (member.role = role) : delete member.role);
  for (const { name, data } of facts) {
    for (const entry of data.memberList ?? []) {
      const { userID, userName, userInfo, role, sessionID, joinedAt, leaseSeconds } = entry;
      const session = { sessionID, joinedAt, ...(leaseSeconds && { leaseSeconds }) };
      const member = members.get(userID);
      if (["room.created", "member.joined"].includes(name)) {
        if (member) throw new Error(`${name} (${data.sequence}) lets in "${userID}", who is in already`);
        members.set(userID, { userID, userName, ...(userInfo && { userInfo }), ...(role && { role }), joinedAt, attributes: { ...entry.attributes }, sessions: [session] });
        continue;
      }
      if (!member) throw new Error(`${name} (${data.sequence}) is about "${userID}", who is not in`);
      if (name === "member.left") members.delete(userID);
      if (name === "session.joined") member.sessions.push(session);
      if (name === "session.left") member.sessions = member.sessions.filter((s) => s.sessionID !== sessionID);
    }
    for (const { userID, attributes: set, userName, userInfo, role } of data.infos ?? []) {
      const member = members.get(userID);
      if (!member) throw new Error(`${name} (${data.sequence}) is about "${userID}", who is not in`);
      Object.assign(member.attributes, set);
      Object.assign(member, userName && { userName }, userInfo && { userInfo });
      if (role) is(member, role);
    }
    if (name === "room.updated") {
      const { hosts: now = "none" } = data.config;
      if (now !== hosts && members.has(creator)) is(members.get(creator), now === "creator" ? "host" : "member"); // a change decides anew
      hosts = now;
    }
    if (name === "room.created") [creator, hosts] = [data.room.createdBy, data.room.config.hosts ?? "none"];
    if (name === "room.created") Object.assign(attributes, data.room.attributes);
    Object.assign(attributes, data.set);
    for (const key of [...(data.delete ?? []), ...(data.deletedAttributes ?? [])]) delete attributes[key];
    const count = data.memberCount ?? (name === "room.created" ? data.room.memberCount : undefined);
    if (count !== undefined && count !== members.size) throw new Error(`memberCount of ${name} (${data.sequence}) is ${count}; the facts so far make ${members.size} members`);
  }
  return { members: [...members.values()], attributes };
}
