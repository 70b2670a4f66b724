// Facts and messages in words.

import { type } from "../../../../../clients/js/src/wire.js";
import { count, moment } from "./format.js";

const named = (users) => {
  const ids = users.map(({ userID }) => userID);
  return ids.length > 3 ? `${ids.slice(0, 2).join(", ")} and ${count(ids.length - 2)} others` : ids.join(", ");
};
const by = (user) => (user ? ` (by ${user})` : "");
const because = (text) => (text ? `: ${text}` : "");
const until = ({ until }) => (until ? ` until ${moment(until)}` : "");

const reasons = {
  left: "left", switched: "switched to another room", expired: "went: the lease ran out", replaced: "was replaced by another device",
  kicked: "was put out", destroyed: "left: the room ended",
};

function left({ memberList }, what) {
  const [{ reason, reasonText, operator, toRoomID }] = memberList;
  const verb = toRoomID ? `switched to ${toRoomID}` : reasons[reason] ?? reason;
  return `${named(memberList)} ${what}${verb}${by(operator)}${because(reasonText)}`;
}

const restricted = (list = [], on, off) => list.map((r) => (r.lifted ? `${r.userID} ${off}` : `${r.userID} ${on}${until(r)}${because(r.reason)}`));

const words = {
  "room.created": ({ room, memberList }) => `the room begins${room.createdBy ? `, made by ${room.createdBy}` : ""}${memberList.length > 1 ? ` with ${count(memberList.length)} members` : ""}`,
  "member.joined": ({ memberList }) => `${named(memberList)} joined${memberList[0].fromRoomID ? ` from ${memberList[0].fromRoomID}` : ""}`,
  "member.left": (data) => left(data, ""),
  "session.joined": ({ memberList }) => `${named(memberList)} came with one more device, ${memberList[0].sessionID}`,
  "session.left": (data) => left(data, `(device ${data.memberList[0].sessionID}) `),
  "room.attributes.changed": ({ set, delete: gone, userID }) => [
    ...Object.entries(set).map(([key, value]) => `${key} = ${value.length > 80 ? `${value.slice(0, 80)}…` : value}`), ...gone.map((key) => `${key} is deleted`),
  ].join(", ") + by(userID),
  "member.attributes.changed": ({ infos, userID }) => infos.slice(0, 3).map((i) => `${i.userID}: ${Object.entries(i.attributes).map(([key, value]) => `${key} = ${value}`).join(", ")}`).join("; ")
    + (infos.length > 3 ? ` and ${count(infos.length - 3)} others` : "") + by(userID),
  "room.access.changed": ({ access, bans, mutes, userID }) => {
    const changed = [...restricted(bans, "is banned", "may come in again"), ...restricted(mutes, "is muted", "may speak again")];
    return (changed.length > 0 ? changed.join("; ") : `who may join: ${access}`) + by(userID);
  },
  "room.updated": ({ roomName, userID }) => `the room's rules have changed${roomName ? `; it is called ${roomName}` : ""}${by(userID)}`,
  "member.updated": ({ infos, userID }) => infos.map((i) => `${i.userID} ${i.role ? `is a ${i.role}` : "has another name or info"}`).join(", ") + by(userID),
  "room.kept": () => "nothing happened for long; the room stays in the journal",
  "room.destroyed": ({ reason, operator }) => (reason === "empty" ? "the room ended: it was empty" : `the room was ended${by(operator)}`),
  "message.deleted": ({ messageSeqs, operator }) => `${count(messageSeqs.length)} ${messageSeqs.length === 1 ? "message was" : "messages were"} deleted${by(operator)}`,
};
const byType = new Map(Object.entries(words).map(([name, say]) => [type(name), say]));

export const say = ({ type: what, data }) => byType.get(what)?.(data) ?? what;
