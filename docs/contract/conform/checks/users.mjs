import { userVerbs, verbs } from "../lib/contract.mjs";
import { rest } from "./refusals.mjs";

export const about = "the user form: a user's own connection, which acts for that user only";
export const needs = ({ users, trusting }) => users || trusting;
export const without = "which needs --users, since this server asks who connects";

export const checks = {
  async "every verb that end users have"(t) {
    const [roomID, side, third] = [await t.room(), await t.room("side"), await t.room("third")];
    const [alice, bob] = [await t.endUser(0), await t.endUser(1)];
    const used = new Set();
    const ask = (caller, verb, body) => (used.add(verb), caller.ask(verb, body));
    const { instanceID, room } = await ask(alice, "create", { roomID, userName: "Alice", config: { roomDestroyDelayTime: 60, hosts: "creator" } });
    t.equal("createdBy", room.createdBy, alice.userID);
    t.equal("created of enter", (await ask(bob, "enter", { roomID: side })).created, true);
    await ask(bob, "join", { roomID });
    t.equal("attributes", (await ask(alice, "setAttributes", { roomID, set: { n: "1" } })).attributes, { n: "1" });
    t.equal("infos", (await ask(alice, "setMemberAttributes", { roomID, userIDs: [bob.userID], attributes: { level: "9" } })).infos, [{ userID: bob.userID, attributes: { level: "9" } }]);
    const { messageID, messageSeq } = await ask(bob, "send", { roomID, type: "text", data: "hello" });
    t.equal("the sender", (await t.heard(roomID).event("message.sent", { messageID })).data.senderUserID, bob.userID);
    t.equal("memberCount of get", (await ask(alice, "get", { roomID, sync: true })).room.memberCount, 2);
    t.equal("members", (await ask(alice, "members", { roomID, sync: true })).memberList.map((m) => [m.userID, m.userName]), [[alice.userID, "Alice"], [bob.userID, ""]]);
    t.equal("count", (await ask(bob, "count", { roomID, sync: true })).memberCount, 2);
    t.equal("memberOf", (await ask(alice, "memberOf", { roomID, userIDs: [bob.userID], sync: true })).memberList[0].attributes, { level: "9" });
    t.equal("history", (await ask(alice, "history", { roomID, instanceID, beforeMessageSeq: 0 })).events.map((e) => e.data.data), ["hello"]);
    t.equal("messageSeqs", (await ask(bob, "deleteMessages", { roomID, messageSeqs: [messageSeq] })).messageSeqs, [messageSeq]);
    t.ok("rooms has the room", (await ask(bob, "rooms", { sync: true })).rooms.some((r) => r.roomID === side));
    t.equal("renew", (await ask(bob, "renew")).rooms.map((r) => r.roomID).sort(), [roomID, side].sort());
    t.like("switch", await ask(bob, "switch", { fromRoomID: side, toRoomInfo: { roomID: third }, isCreateWhenRoomNotExisted: true }), { created: true });
    await ask(bob, "leave", { roomID: third });
    t.equal("member", (await ask(bob, "updateMember", { roomID, userName: "Bob" })).member.userName, "Bob");
    t.equal("roomName", (await ask(alice, "update", { roomID, roomName: "Hall" })).roomName, "Hall");
    const him = { roomID, userIDs: [bob.userID] };
    for (const verb of ["mute", "unmute"]) t.equal(`userIDs of ${verb}`, (await ask(alice, verb, him)).userIDs, him.userIDs);
    t.equal("userIDs of setRole", (await ask(alice, "setRole", { ...him, role: "member" })).userIDs, him.userIDs);
    t.equal("access", (await ask(alice, "setAccess", { roomID, access: "open" })).config.access ?? "open", "open");
    t.equal("leaveAll", (await ask(bob, "leaveAll")).roomIDList, [roomID]);
    await ask(bob, "join", { roomID });
    t.equal("kicked", (await ask(alice, "kick", him)).kicked, him.userIDs);
    for (const verb of ["ban", "unban"]) t.equal(`userIDs of ${verb}`, (await ask(alice, verb, him)).userIDs, him.userIDs);
    t.equal("roomID of destroy", (await ask(alice, "destroy", { roomID })).roomID, roomID);
    t.equal("the verbs of end users that were not tried", userVerbs.filter((v) => !used.has(v)), []);
  },

  async "NOT_ALLOWED: verbs that only back ends have"(t) {
    const alice = await t.endUser(0);
    const roomID = await t.room();
    await alice.ask("enter", { roomID });
    for (const verb of verbs.filter((v) => !userVerbs.includes(v))) await alice.refused("NOT_ALLOWED", verb, { roomID, ...rest[verb] });
    t.equal("count", (await t.back.ask("count", { roomID, sync: true })).memberCount, 1);
  },

  async "NOT_ALLOWED: another user's ID in the body"(t) {
    const [alice, bob] = [await t.endUser(0), await t.endUser(1)];
    const roomID = await t.room();
    await alice.refused("NOT_ALLOWED", "enter", { roomID, userID: bob.userID });
    await t.back.refused("ROOM_NOT_EXIST", "get", { roomID });
    t.equal("createdBy with her own ID", (await alice.ask("enter", { roomID, userID: alice.userID })).room.createdBy, alice.userID);
  },

  async "a session has a lease without asking, and cannot do without one"(t) {
    const alice = await t.endUser(0);
    const roomID = await t.room();
    await alice.refused("PARAM_INVALID", "enter", { roomID, leaseSeconds: 0 }, { field: "leaseSeconds" });
    const reply = await alice.ask("enter", { roomID });
    t.ok("leaseSeconds is 5 to 3600", reply.leaseSeconds >= 5 && reply.leaseSeconds <= 3600, reply);
    t.ok("expiresAt is in the future", Date.parse(reply.expiresAt) > Date.parse(reply.room.createdAt), reply);
    t.equal("leaseSeconds in its entry", (await t.entry(roomID, reply, "room.created", alice.userID)).leaseSeconds, reply.leaseSeconds);
    t.equal("one that was asked for", (await alice.ask("renew", { leaseSeconds: 30 })).leaseSeconds, 30);
  },

  async "a session that a back end brought in has a lease from its first renew on"(t) {
    const alice = await t.endUser(0);
    const roomID = await t.room();
    const brought = await t.back.ask("enter", { roomID, ...alice.who });
    t.equal("expiresAt before", brought.expiresAt, undefined);
    const renewed = await alice.ask("renew");
    t.equal("its rooms", renewed.rooms.map((r) => r.roomID), [roomID]);
    t.ok("expiresAt after", renewed.expiresAt, renewed);
  },

  async "notices reach the user's own connection before the answer"(t) {
    const alice = await t.endUser(0);
    const roomID = await t.room();
    const notices = await t.notices(alice);
    await alice.ask("enter", { roomID });
    t.equal("told of enter", notices.told(roomID), ["connecting activeEnter", "connected success"]);
    await alice.ask("leave", { roomID });
    t.equal("told of leave", notices.told(roomID).at(-1), "disconnected success");
  },

  async "a repeat on another connection of the user gets the first outcome"(t) {
    const alice = await t.endUser(0);
    const roomID = await t.room();
    const body = { roomID, requestID: t.name("once") };
    const first = await alice.ask("create", body);
    const other = await t.endUser(0, { noEcho: true });
    other.who.sessionID = alice.who.sessionID;
    t.like("the repeat", await other.ask("create", body), { sequence: first.sequence, instanceID: first.instanceID });
  },
};
