// Events as they arrive, and what facts leave out: what is in their envelope, empty or usual.

import { prefix, type } from "./wire.js";

const joins = ({ time }) => ({ userName: "", sessionID: "default", joinedAt: time, via: "enter" });
const leaves = ({ time }) => ({ userName: "", sessionID: "default", joinedAt: time, leftAt: time, reason: "left" });

const all = (entries, usual) => entries.map((entry) => ({ ...usual, ...entry }));

/** The room in a fact about its beginning or end. */
function room({ time }, position, { room, memberList = [] }) {
  return { ...position, roomName: "", createdAt: time, createdBy: "", config: {}, attributes: {}, memberCount: memberList.length, ...room };
}

// By type: the data of a fact, of which its position is filled in already.
const fills = {
  "room.created": (fact, position, data) => ({ ...data, room: room(fact, position, data), memberList: all(data.memberList ?? [], joins(fact)) }),
  "member.joined": (fact, position, data) => ({ ...data, memberList: all(data.memberList, joins(fact)) }),
  "session.joined": (fact, position, data) => ({ ...data, memberList: all(data.memberList, joins(fact)) }),
  "member.left": (fact, position, data) => ({ ...data, memberList: all(data.memberList, leaves(fact)) }),
  "session.left": (fact, position, data) => ({ ...data, memberList: all(data.memberList, leaves(fact)) }),
  "room.attributes.changed": (fact, position, { set = {}, ...data }) => ({
    set, delete: [], owners: Object.fromEntries(Object.keys(set).map((key) => [key, data.userID])), ...data,
  }),
  "member.attributes.changed": (fact, position, data) => ({ deleteAfterOwnerLeft: true, ...data }),
  "room.access.changed": (fact, position, data) => ({ allowedUsers: [], userID: "", ...data }),
  "room.updated": (fact, position, data) => ({ roomName: "", userID: "", ...data }),
  "member.updated": (fact, position, data) => ({ userID: "", ...data }),
  "room.destroyed": (fact, position, data) => ({ ...data, room: room(fact, position, data) }),
};
const byType = new Map(Object.entries(fills).map(([name, fill]) => [type(name), fill]));

/** An event of ours with nothing left out. Messages and notices leave nothing out. */
export function whole(event) {
  const { type: what, subject, roominstance, sequence, data } = event;
  if (!sequence) return event;
  const position = { roomID: subject, instanceID: roominstance, sequence: Number(sequence) };
  const fill = byType.get(what) ?? ((fact, position, data) => data);
  return { ...event, data: { ...position, ...fill(event, position, data) } };
}

/** The event in a live copy, or undefined if there is none that can be read. */
export function eventIn(message) {
  try {
    const event = message.json();
    return event?.type?.startsWith?.(prefix) && event.data ? whole(event) : undefined;
  } catch {
    return undefined;
  }
}
