import { Client } from "../src/index.js";

/** Uses every command once or more, and gives the verbs and what came of the last ones. */
export async function everyCommand(nc, name) {
  const verbs = new Set();
  const as = (userID) => {
    const client = new Client(nc, { userID, sessionID: "only" });
    return (verb, body) => (verbs.add(verb), client[verb](body));
  };
  const [alice, bob, backEnd] = [as(`${name} alice`), as(`${name} bob`), as("")];
  const [lobby, side] = [`${name} lobby`, `${name} side`];

  const { instanceID, revision } = await alice("create", { roomID: lobby, config: { roomDestroyDelayTime: 60, roomAttributes: { topic: "tea" }, hosts: "creator" } });
  await bob("join", { roomID: lobby });
  await bob("enter", { roomID: side });
  await alice("setAttributes", { roomID: lobby, set: { n: "1" }, delete: ["topic"], ifRevision: revision });
  const late = await bob("setAttributes", { roomID: lobby, set: { n: "1" }, ifRevision: revision }).catch((err) => err);
  await alice("setMemberAttributes", { roomID: lobby, userIDs: [`${name} bob`], attributes: { level: "9" } });
  await bob("send", { roomID: lobby, type: "text", data: "hello" });
  const users = { roomID: lobby, userIDs: [`${name} bob`] };
  const { until } = await alice("mute", { ...users, seconds: 60, reason: "loud" });
  const muted = await bob("send", { roomID: lobby, type: "text", data: "hush" }).catch((err) => err);
  await alice("unmute", users);
  const { userIDs } = await alice("setRole", { ...users, role: "host" });
  const { roomName } = await bob("update", { roomID: lobby, roomName: "The lobby", config: { maxMembers: 9 } });
  const { member } = await bob("updateMember", { roomID: lobby, userName: "Bob" });
  const { room } = await alice("get", { roomID: lobby, sync: true });
  const { memberList } = await alice("members", { roomID: lobby, sync: true });
  const { memberCount } = await alice("count", { roomID: lobby, sync: true });
  const { errorUserList } = await alice("memberOf", { roomID: lobby, userIDs: [`${name} nobody`] });
  const said = await alice("history", { roomID: lobby, instanceID, beforeMessageSeq: 0 });
  const { messageSeqs } = await bob("deleteMessages", { roomID: lobby, messageSeqs: [said.messageSeq] });
  const { deleted } = await alice("history", { roomID: lobby, instanceID, beforeMessageSeq: 0 });
  await bob("send", { roomID: lobby, type: "text", data: "again" });
  const { rooms } = await bob("rooms", { sync: true });
  const renewed = await bob("renew", { leaseSeconds: 90 });
  await bob("switch", { fromRoomID: side, toRoomInfo: { roomID: `${name} third` }, isCreateWhenRoomNotExisted: true });
  await bob("leave", { roomID: `${name} third` });
  await alice("ban", { roomID: lobby, userIDs: [`${name} eve`] });
  const { bans } = await alice("get", { roomID: lobby, sync: true });
  await alice("unban", { roomID: lobby, userIDs: [`${name} eve`] });
  const { config } = await backEnd("setAccess", { roomID: lobby, access: "listed", allow: [`${name} alice`] });
  const { kicked } = await backEnd("kick", { roomID: lobby, userIDs: [`${name} bob`] });
  const { blocked } = await backEnd("block", { userID: `${name} bob`, seconds: 60 });
  const { userList } = await backEnd("blocked", { userID: `${name} bob` });
  await backEnd("unblock", { userID: `${name} bob` });
  const { roomIDList } = await alice("leaveAll");
  const { roomList } = await backEnd("list", { prefix: name, sync: true });
  await backEnd("destroy", { roomID: lobby });
  const { erased } = await backEnd("eraseUser", { userID: `${name} bob` });
  const { instances } = await backEnd("instances", { roomID: lobby });
  const then = await backEnd("members", { roomID: lobby, at: room.createdAt });
  return {
    verbs: [...verbs].sort(),
    late: [late.code, late.attributes, late.revision > revision],
    muted: [muted.code, muted.until === until],
    host: [userIDs, roomName, member.userName, member.role],
    bans,
    attributes: room.attributes,
    members: memberList.map((m) => [m.userID, m.attributes]),
    count: memberCount,
    errors: errorUserList.map((e) => e.code),
    said: said.events.map((e) => e.data.data),
    deleted: [JSON.stringify(messageSeqs) === JSON.stringify([said.messageSeq]), JSON.stringify(deleted) === JSON.stringify(messageSeqs)],
    erased,
    rooms: rooms.map((r) => r.roomID),
    renewed: [JSON.stringify(renewed.rooms) === JSON.stringify(rooms), Date.parse(renewed.expiresAt) > 0],
    access: config.access,
    kicked,
    blocked: [blocked, userList.map((b) => b.userID)],
    left: roomIDList,
    listed: roomList.map((r) => r.roomID),
    instances: instances.map((i) => [i.instanceID === instanceID, i.reason]),
    then: [then.memberList.map((m) => m.userID), then.complete],
  };
}

/** What everyCommand must give. */
export const outcome = (name, verbs) => ({
  verbs,
  late: ["REVISION_MISMATCH", { n: "1" }, true],
  muted: ["MUTED", true],
  host: [[`${name} bob`], "The lobby", "Bob", "host"],
  bans: [{ userID: `${name} eve` }],
  attributes: { n: "1" },
  members: [[`${name} alice`, {}], [`${name} bob`, { level: "9" }]],
  count: 2,
  errors: ["USER_NOT_IN_ROOM"],
  said: ["hello"],
  deleted: [true, true],
  erased: 1,
  rooms: [`${name} lobby`, `${name} side`],
  renewed: [true, true],
  access: "listed",
  kicked: [`${name} bob`],
  blocked: [true, [`${name} bob`]],
  left: [`${name} lobby`],
  listed: [`${name} lobby`],
  instances: [[true, "requested"]],
  then: [[`${name} alice`], true],
});
