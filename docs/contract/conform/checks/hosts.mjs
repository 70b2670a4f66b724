import { rest } from "./refusals.mjs";

export const about = "hosts: end users who run a room, and what bans, mutes and rules do to the others";
export const needs = ({ users, trusting }) => users || trusting;
export const without = "which needs --users, since this server asks who connects";

const running = ["update", "setRole", "kick", "ban", "unban", "mute", "unmute", "setAccess", "destroy"];

/** A room that the first user made and runs, with the second one in it. */
async function two(t, config) {
  const [roomID, alice, bob] = [await t.room(), await t.endUser(0), await t.endUser(1)];
  await alice.ask("create", { roomID, config: { hosts: "creator", roomDestroyDelayTime: 60, ...config } });
  await bob.ask("join", { roomID });
  return { roomID, alice, bob, him: { roomID, userIDs: [bob.userID] } };
}

const text = { type: "text", data: "hello" };

export const checks = {
  async "NOT_ALLOWED: who is no host, or is not in, does not run a room"(t) {
    const { roomID, alice, bob } = await two(t);
    const { sequence } = await t.back.ask("get", { roomID, sync: true });
    for (const verb of running) await bob.refused("NOT_ALLOWED", verb, { roomID, ...rest[verb] });
    t.equal("sequence", (await t.back.ask("get", { roomID, sync: true })).sequence, sequence);
    await alice.ask("setRole", { roomID, userIDs: [bob.userID], role: "host" });
    await bob.ask("update", { roomID, roomName: "His" });
    await bob.ask("leave", { roomID });
    await bob.refused("NOT_ALLOWED", "update", { roomID, roomName: "Not his" });
  },

  async "ROOM_NOT_EXIST: a room that is not there has no host"(t) {
    const alice = await t.endUser(0);
    for (const verb of running) await alice.refused("ROOM_NOT_EXIST", verb, { roomID: t.name("nowhere"), ...rest[verb] });
  },

  async "BANNED: who is banned is told why and until when, and does not come in before it is over"(t) {
    const { roomID, alice, bob, him } = await two(t);
    const notices = await t.notices(bob);
    const { until } = await alice.ask("ban", { ...him, seconds: 600, reason: "spam" });
    const told = await notices.event("user.state.changed", { roomID, event: "kickedOut" });
    t.like("the notice", told.data, { state: "disconnected", reasonText: "spam", error: { code: "BANNED", number: 7000007, until } });
    const from = await t.room("from");
    await bob.ask("enter", { roomID: from });
    for (const verb of ["join", "enter"]) await bob.refused("BANNED", verb, { roomID }, { until });
    await bob.refused("BANNED", "switch", { fromRoomID: from, toRoomInfo: { roomID } }, { until });
    t.equal("rooms after the refusals", (await bob.ask("rooms", { sync: true })).rooms.some((r) => r.roomID === roomID), false);
    t.equal("bans that a host sees", (await alice.ask("get", { roomID, sync: true })).bans, [{ userID: bob.userID, until, reason: "spam" }]);
    await alice.ask("unban", him);
    await bob.ask("join", { roomID });
    await alice.ask("ban", { ...him, seconds: 1 });
    for (let code = "BANNED"; code; ) { // it ends by itself
      const { reply } = await bob.answer("join", bob.body({ roomID }));
      code = reply.error?.code;
      if (code) t.equal("the code until it is over", code, "BANNED");
    }
  },

  async "MUTED: who is muted does not send, and is in all the same"(t) {
    const { roomID, alice, bob, him } = await two(t);
    const { until } = await alice.ask("mute", { ...him, seconds: 600, reason: "too loud" });
    for (const type of ["text", "custom", "command", "barrage"]) await bob.refused("MUTED", "send", { roomID, ...text, type }, { until });
    await bob.ask("leave", { roomID });
    await bob.ask("join", { roomID });
    await bob.refused("MUTED", "send", { roomID, ...text }, { until });
    const { bans, mutes } = await bob.ask("get", { roomID, sync: true });
    t.equal("what others see of bans and mutes", [bans, mutes], [undefined, undefined]);
    await alice.ask("unmute", him);
    const { messageID } = await bob.ask("send", { roomID, ...text });
    await t.heard(roomID).event("message.sent", { messageID });
    t.equal("the messages", t.heard(roomID).messages.length, 1);
  },

  async "NOT_ALLOWED: where only hosts speak, others do not"(t) {
    const { roomID, alice, bob, him } = await two(t, { speakers: "hosts" });
    await bob.refused("NOT_ALLOWED", "send", { roomID, ...text });
    await alice.ask("send", { roomID, ...text });
    await alice.ask("setRole", { ...him, role: "host" });
    await bob.ask("send", { roomID, ...text });
  },

  async "NOT_ALLOWED: where attributes are owned, only hosts reach for those of others"(t) {
    const { roomID, alice, bob } = await two(t, { attributes: "owned", roomAttributes: { hers: "1" } });
    await bob.refused("NOT_ALLOWED", "setAttributes", { roomID, set: { hers: "2" }, isForce: true }, { field: "isForce" });
    await bob.refused("NOT_ALLOWED", "setMemberAttributes", { roomID, userIDs: [alice.userID], attributes: { a: "1" } }, { field: "userIDs" });
    await bob.ask("setMemberAttributes", { roomID, userIDs: [bob.userID], attributes: { a: "1" } });
    await bob.ask("setAttributes", { roomID, set: { his: "1" } });
    t.equal("owners", (await bob.ask("get", { roomID, sync: true })).owners, { hers: alice.userID, his: bob.userID });
    t.equal("forced by a host", (await alice.ask("setAttributes", { roomID, set: { his: "2" }, isForce: true })).attributes, { hers: "1", his: "2" });
    await t.back.ask("setAttributes", { roomID, set: { servers: "1", hers: "3" } });
    t.equal("owners once the server has set one", (await bob.ask("get", { roomID, sync: true })).owners, { hers: alice.userID, his: bob.userID });
  },
};
