// A room as its facts make it.

import { type } from "./wire.js";

const names = [
  "room.created", "member.joined", "member.left", "session.joined", "session.left", "room.attributes.changed",
  "member.attributes.changed", "room.access.changed", "room.updated", "member.updated", "room.kept", "room.destroyed",
];
const known = new Set(names.map(type));
const [created, , left, sessionJoined, , attributesChanged, membersSet, accessChanged, updated, membersUpdated] = names.map(type);

// How long a room that was made without a member waits for its first one.
const firstMemberSeconds = 300;

/** Whether an event is a fact, known or not. Facts are counted; messages and notices are not. */
export const isFact = ({ type: what, data }) => known.has(what) || (what !== type("message.sent") && what !== type("user.state.changed") && data.sequence > 0);

/** A member's role as replies have it: host, or none. */
const asRole = (role) => role === "host" && { role };

/** A member of whom something has changed: its name, info or role. */
function changed({ role, ...member }, { userName, userInfo, role: newRole = role }) {
  return { ...member, ...(userName && { userName }), ...(userInfo && { userInfo }), ...asRole(newRole) };
}

const after = (time, seconds) => new Date(Date.parse(time) + seconds * 1000).toISOString();

/**
 * One instance of a room with its members, as a watch knows it at one update. The next
 * update changes it, but not what its methods returned before.
 */
export class Roster {
  #room; // as the command get answers it
  #members = new Map(); // by userID, oldest first: {at: the sequence of the fact that it is as new as, member}

  constructor(room, sequence, revision) {
    this.#room = { ...room, sequence, revision };
  }

  get room() {
    return this.#room;
  }

  get instanceID() {
    return this.#room.instanceID;
  }

  get sequence() {
    return this.#room.sequence;
  }

  get size() {
    return this.#members.size;
  }

  /** A member, or undefined. */
  get(userID) {
    return this.#members.get(userID)?.member;
  }

  /** All members, oldest first. */
  members() {
    return Array.from(this.#members.values(), ({ member }) => member);
  }

  /** Whether the room has as many members as it counts. */
  get isWhole() {
    return this.#members.size === this.#room.memberCount;
  }

  /** Adds a page of members. Pages may be of different moments; merge makes up for that. */
  add({ memberList, sequence }) {
    for (const member of memberList) {
      this.#members.delete(member.userID); // one that left and joined again is on two pages, and the later one counts
      this.#put(sequence, member);
    }
  }

  /** The roster that a room's first fact makes. */
  static born(fact, revision) {
    const { room, memberList } = fact.data;
    const roster = new Roster({ ...room, memberCount: memberList.length }, 0, 0);
    if (memberList.length === 0) roster.#set({ destroyAt: after(room.createdAt, Math.max(room.config.roomDestroyDelayTime ?? 0, firstMemberSeconds)) });
    roster.#fold(fact);
    roster.#advance(fact, revision);
    return roster;
  }

  /** Applies the next fact. False if the roster is not as the fact presumes: something is missing. */
  fold(fact, revision) {
    if (fact.data.sequence !== this.sequence + 1 || fact.type === created || !this.#fold(fact)) return false;
    this.#advance(fact, revision);
    return this.isWhole;
  }

  /** Applies the next fact to a roster of which parts may be newer. */
  merge(fact) {
    this.#fold(fact, true);
    this.#advance(fact, 0);
  }

  #put(at, member) {
    this.#members.set(member.userID, { at, member });
  }

  #set(room) {
    this.#room = { ...this.#room, ...room };
  }

  #fold({ type: what, data }, merging = false) {
    const older = (old) => !(merging && old && old.at >= data.sequence);
    let fits = true;
    const leaves = data.memberList?.some((m) => m.leftAt);
    for (const entry of data.memberList ?? []) {
      const old = this.#members.get(entry.userID);
      if (!older(old)) continue;
      if (leaves) fits = this.#goes(what, entry, old, data.sequence) && fits;
      else fits = this.#comes(what, entry, old, data.sequence) && fits;
    }
    for (const info of data.infos ?? []) {
      const old = this.#members.get(info.userID);
      if (!older(old)) continue;
      if (!old) fits = fits && what === updated; // the creator's role, and the creator is out
      else if (what === membersSet) this.#put(data.sequence, { ...old.member, attributes: { ...old.member.attributes, ...info.attributes } });
      else this.#put(data.sequence, changed(old.member, info));
    }
    return fits || merging;
  }

  #comes(what, { userID, userName, userInfo, role, joinedAt, sessionID, leaseSeconds, attributes = {} }, old, at) {
    const session = { sessionID, joinedAt, ...(leaseSeconds && { leaseSeconds }) };
    if (what === sessionJoined) {
      if (old) this.#put(at, { ...old.member, sessions: [...old.member.sessions, session] });
      return old !== undefined;
    }
    this.#members.delete(userID);
    this.#put(at, { userID, userName, ...(userInfo && { userInfo }), ...asRole(role), joinedAt, attributes, sessions: [session] });
    return !old;
  }

  #goes(what, { userID, sessionID }, old, at) {
    if (what === left) return this.#members.delete(userID);
    if (old) this.#put(at, { ...old.member, sessions: old.member.sessions.filter((s) => s.sessionID !== sessionID) });
    return old !== undefined;
  }

  /** What a fact says of the room itself. */
  #advance({ type: what, time, data }, revision) {
    this.#set({ sequence: data.sequence, revision: Math.max(this.#room.revision, revision) });
    if (what === created || !known.has(what)) return;
    if (what === accessChanged) {
      const { allowedUsers, ...config } = this.#room.config;
      this.#set({ config: { ...config, access: data.access, ...(data.allowedUsers.length > 0 && { allowedUsers: data.allowedUsers }) } });
    }
    if (what === updated) this.#set({ roomName: data.roomName, config: data.config });
    const gone = [...(data.deletedAttributes ?? []), ...(what === attributesChanged ? data.delete ?? [] : [])];
    if (gone.length > 0 || what === attributesChanged) {
      const attributes = new Map([...Object.entries(this.#room.attributes), ...Object.entries(data.set ?? {})]);
      gone.forEach((key) => attributes.delete(key));
      this.#set({ attributes: Object.fromEntries(attributes) });
    }
    if (data.memberCount === undefined) return;
    const { destroyAt, ...room } = this.#room;
    const ends = data.memberCount === 0 && { destroyAt: destroyAt ?? after(time, room.config.roomDestroyDelayTime ?? 0) };
    this.#room = { ...room, memberCount: data.memberCount, ...ends };
  }
}
