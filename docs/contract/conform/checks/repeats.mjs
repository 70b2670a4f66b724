import { nuid } from "@nats-io/nats-core";

export const about = "a request that is sent again has one effect and gets the first outcome";

/** Sends a request twice; what the replies have of the fields must be the same. Gives the first. */
async function twice(t, caller, verb, body, fields) {
  const full = { requestID: nuid.next(), ...body };
  const first = await caller.ask(verb, full);
  const again = await caller.ask(verb, full);
  for (const field of fields) t.equal(`${field} of the repeated ${verb}`, again[field], first[field]);
  return { ...first, again: () => caller.ask(verb, full), full };
}

const position = ["instanceID", "sequence", "revision"];
const sequenceOf = async (t, roomID) => (await t.back.ask("get", { roomID, sync: true })).sequence;

export const checks = {
  async "create, and without a user"(t) {
    const [one, two] = [await t.room("one"), await t.room("two")];
    const first = await twice(t, t.user("alice"), "create", { roomID: one }, position);
    t.equal("sequence of the first", first.sequence, 1);
    await twice(t, t.back, "create", { roomID: two }, position);
    t.equal("sequences now", [await sequenceOf(t, one), await sequenceOf(t, two)], [1, 1]);
  },

  async "join, also after the user has left: it gets the first outcome and is not let in again"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await alice.ask("create", { roomID });
    const first = await twice(t, bob, "join", { roomID }, position);
    await bob.ask("leave", { roomID });
    const late = await first.again();
    t.like("the reply after leaving", late, { sequence: first.sequence, instanceID: first.instanceID });
    t.equal("memberCount, as it is now", [late.room.memberCount, (await t.back.ask("count", { roomID, sync: true })).memberCount], [1, 1]);
    t.equal("sequence", await sequenceOf(t, roomID), 3);
  },

  async "enter: created stays what it was at first"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    const first = await twice(t, alice, "enter", { roomID }, [...position, "created"]);
    t.equal("created", first.created, true);
    await bob.ask("enter", { roomID });
    const late = await first.again();
    t.like("the reply after another has joined", late, { created: true, sequence: 1 });
    t.equal("memberCount, as it is now", late.room.memberCount, 2);
  },

  async "switch"(t) {
    const [from, to] = [await t.room("from"), await t.room("to")];
    const [alice, bob] = t.users("alice", "bob");
    for (const user of [alice, bob]) await user.ask("enter", { roomID: from });
    const first = await twice(t, alice, "switch", { fromRoomID: from, toRoomInfo: { roomID: to }, isCreateWhenRoomNotExisted: true }, [...position, "created", "left"]);
    t.equal("created", first.created, true);
    t.equal("sequences now", [await sequenceOf(t, from), await sequenceOf(t, to)], [3, 1]);
  },

  async "leave, also when the room has ended with it"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    await alice.ask("enter", { roomID });
    await twice(t, alice, "leave", { roomID }, position);
    await t.heard(roomID).event("room.destroyed");
  },

  async "leaveAll: rooms joined since then stay"(t) {
    const [a, b, c] = [await t.room("a"), await t.room("b"), await t.room("c")];
    const alice = t.user("alice");
    for (const roomID of [a, b]) await alice.ask("enter", { roomID });
    const first = await alice.ask("leaveAll", { requestID: "once" });
    await alice.ask("enter", { roomID: c });
    const again = await alice.ask("leaveAll", { requestID: "once" });
    t.equal("roomIDList of the repeat", again.roomIDList.sort(), first.roomIDList.sort());
    t.equal("rooms now", (await alice.ask("rooms", { sync: true })).rooms.map((r) => r.roomID), [c]);
  },

  async "setAttributes: it does not undo what came after it"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await alice.ask("enter", { roomID });
    await bob.ask("enter", { roomID });
    await bob.ask("setAttributes", { roomID, set: { his: "1" } });
    const first = await twice(t, alice, "setAttributes", { roomID, set: { n: "1", his: "2" } }, [...position, "errorKeys"]);
    t.equal("errorKeys", first.errorKeys, ["his"]);
    await alice.ask("setAttributes", { roomID, set: { n: "2" } });
    const late = await first.again();
    t.like("the repeat", late, { sequence: first.sequence, errorKeys: ["his"], attributes: { n: "2", his: "1" } });
  },

  async "setAttributes with ifRevision: it does not fail because it succeeded"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const { revision } = await alice.ask("enter", { roomID });
    await twice(t, alice, "setAttributes", { roomID, set: { n: "1" }, ifRevision: revision }, position);
  },

  async "setMemberAttributes"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    await alice.ask("enter", { roomID });
    await twice(t, alice, "setMemberAttributes", { roomID, userIDs: [alice.userID, "nobody"], attributes: { n: "1" } }, [...position, "infos", "errorUserList"]);
    t.equal("sequence", await sequenceOf(t, roomID), 2);
  },

  async "send of every type: one message, with the first messageID"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    await alice.ask("enter", { roomID });
    for (const type of ["text", "custom"]) await twice(t, alice, "send", { roomID, type, data: type }, ["messageID", "messageSeq", "timestamp"]);
    await t.back.ask("send", { roomID, type: "text", data: "end" });
    await t.heard(roomID).event("message.sent", { data: "end" });
    t.equal("the messages", t.heard(roomID).messages.map((m) => m.data.data), ["text", "custom", "end"]);
  },

  async "send of a message that was stored, after its sender has left"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await alice.ask("enter", { roomID });
    await bob.ask("enter", { roomID });
    const first = await twice(t, bob, "send", { roomID, type: "text", data: "bye" }, ["messageID", "messageSeq"]);
    await bob.ask("leave", { roomID });
    t.equal("messageID", (await first.again()).messageID, first.messageID);
  },

  async "kick: those who came back meanwhile stay"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await alice.ask("enter", { roomID });
    await bob.ask("enter", { roomID });
    const first = await twice(t, t.back, "kick", { roomID, userIDs: [bob.userID, "nobody"] }, ["kicked", "errorUserList"]);
    t.equal("kicked", first.kicked, [bob.userID]);
    await bob.ask("enter", { roomID });
    t.equal("kicked of a later repeat", (await first.again()).kicked, [bob.userID]);
    t.equal("memberCount", (await t.back.ask("count", { roomID, sync: true })).memberCount, 2);
  },

  async "setAccess"(t) {
    const roomID = await t.room();
    await t.user("alice").ask("enter", { roomID });
    await twice(t, t.back, "setAccess", { roomID, access: "listed", allow: ["bob"] }, [...position, "config"]);
  },

  async "update, setRole and updateMember: they do not undo what came after them"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await alice.ask("enter", { roomID });
    await bob.ask("enter", { roomID });
    const named = await twice(t, t.back, "update", { roomID, roomName: "A" }, [...position, "roomName", "config"]);
    const host = await twice(t, t.back, "setRole", { roomID, userIDs: [bob.userID, "nobody"], role: "host" }, [...position, "userIDs", "errorUserList"]);
    const called = await twice(t, bob, "updateMember", { roomID, userName: "Bob" }, [...position, "member"]);
    await t.back.ask("update", { roomID, roomName: "B" });
    await t.back.ask("setRole", { roomID, userIDs: [bob.userID], role: "member" });
    await bob.ask("updateMember", { roomID, userName: "Robert" });
    for (const first of [named, host, called]) t.equal("sequence of a later repeat", (await first.again()).sequence, first.sequence);
    t.equal("roomName", (await t.back.ask("get", { roomID, sync: true })).room.roomName, "B");
    const { memberList: [, member] } = await t.back.ask("members", { roomID, sync: true });
    t.equal("userName and role", [member.userName, member.role], ["Robert", undefined]);
  },

  async "ban and mute, unban and unmute"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await alice.ask("enter", { roomID });
    await bob.ask("enter", { roomID });
    const userIDs = [bob.userID, "nobody"];
    for (const [put, lift] of [["ban", "unban"], ["mute", "unmute"]]) {
      const first = await twice(t, t.back, put, { roomID, userIDs, seconds: 60, reason: "spam" }, [...position, "userIDs", "until"]);
      await twice(t, t.back, lift, { roomID, userIDs }, [...position, "userIDs"]);
      t.equal(`sequence of a later ${put}`, (await first.again()).sequence, first.sequence);
    }
    const { bans, mutes, sequence } = await t.back.ask("get", { roomID, sync: true });
    t.equal("bans, mutes and sequence", [bans ?? [], mutes ?? [], sequence], [[], [], 7]);
  },

  async "destroy: the next room of that name stays"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    await alice.ask("enter", { roomID });
    const body = { roomID, requestID: nuid.next() };
    await t.back.ask("destroy", body);
    await t.heard(roomID).event("room.destroyed");
    const { instanceID } = await alice.ask("enter", { roomID });
    t.equal("roomID of the repeat", (await t.back.ask("destroy", body)).roomID, roomID);
    t.equal("the instance that is there", (await t.back.ask("get", { roomID, sync: true })).instanceID, instanceID);
  },

  async "another body under the same requestID is PARAM_INVALID"(t) {
    const [a, b] = [await t.room("a"), await t.room("b")];
    const alice = t.user("alice");
    await alice.ask("enter", { roomID: a, requestID: "1" });
    await alice.refused("PARAM_INVALID", "enter", { roomID: b, requestID: "1" }, { field: "requestID" });
    await alice.ask("setAttributes", { roomID: a, set: { n: "1" }, requestID: "2" });
    await alice.refused("PARAM_INVALID", "setAttributes", { roomID: a, set: { n: "2" }, requestID: "2" }, { field: "requestID" });
    await alice.ask("send", { roomID: a, type: "text", data: "one", requestID: "3" });
    await alice.refused("PARAM_INVALID", "send", { roomID: a, type: "text", data: "two", requestID: "3" }, { field: "requestID" });
    t.like("the room", (await t.back.ask("get", { roomID: a, sync: true })).room, { attributes: { n: "1" }, sequence: 2 });
  },

  async "the header Nats-Msg-Id is a requestID too; the one in the body wins"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const header = { "Nats-Msg-Id": nuid.next() };
    const first = await alice.ask("create", { roomID }, header);
    t.equal("sequence of the repeat", (await alice.ask("create", { roomID }, header)).sequence, first.sequence);
    const other = await alice.answer("create", alice.body({ roomID, requestID: nuid.next() }), header);
    t.equal("the code with another requestID in the body", other.reply.error?.code, "ROOM_ALREADY_EXISTS");
    t.equal("requestID in the fact", (await t.entry(roomID, first, "room.created", alice.userID)).requestID, header["Nats-Msg-Id"]);
  },

  async "a requestID belongs to its user: others may use the same one"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    t.equal("alice created it", (await alice.ask("enter", { roomID, requestID: "same" })).created, true);
    t.like("bob's reply", await bob.ask("enter", { roomID, requestID: "same" }), { created: false, sequence: 2 });
  },

  async "refusals are not remembered"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await alice.refused("ROOM_NOT_EXIST", "join", { roomID, requestID: "again" });
    await bob.ask("create", { roomID });
    t.equal("sequence once there is a room", (await alice.ask("join", { roomID, requestID: "again" })).sequence, 2);
  },

  async "the same request twenty times at once has one effect"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const replies = await Promise.all(Array.from({ length: 20 }, () => alice.ask("create", { roomID, requestID: "burst" })));
    t.equal("positions", new Set(replies.map((r) => `${r.instanceID} ${r.sequence}`)).size, 1);
    const said = await Promise.all(Array.from({ length: 20 }, () => alice.ask("send", { roomID, type: "text", data: "once", requestID: "said" })));
    t.equal("messageIDs", new Set(said.map((r) => r.messageID)).size, 1);
    t.equal("sequence", await sequenceOf(t, roomID), 1);
  },
};
