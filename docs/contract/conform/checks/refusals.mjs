import { required, verbs } from "../lib/contract.mjs";
import { NoResponders } from "../lib/wire.mjs";

export const about = "each refusal has its code, its number and the field, and changes nothing";

const onRooms = verbs.filter((verb) => required(verb).includes("roomID"));
const nothing = ["create", "enter"]; // make the room
const list = (n) => Array.from({ length: n }, (_, i) => `user${i}`);

/** What a verb needs besides the room, for a body that is right. */
export const rest = {
  setAttributes: { set: { a: "1" } },
  memberOf: { userIDs: ["somebody"] },
  setMemberAttributes: { userIDs: ["somebody"], attributes: { a: "1" } },
  send: { type: "text", data: "hello" },
  history: { instanceID: "none", afterSequence: 0 },
  kick: { userIDs: ["somebody"] },
  setAccess: { access: "listed" },
  update: { roomName: "A" },
  updateMember: { userName: "A" },
  setRole: { userIDs: ["somebody"], role: "host" },
  deleteMessages: { messageSeqs: [1] },
  ban: { userIDs: ["somebody"] },
  unban: { userIDs: ["somebody"] },
  mute: { userIDs: ["somebody"] },
  unmute: { userIDs: ["somebody"] },
};

/** Refuses each row of a table: verb, field, what is wrong, and more that the refusal has. */
async function invalid(t, caller, rows) {
  for (const [verb, field, body, more] of rows) await caller.refused("PARAM_INVALID", verb, body, { field, ...more });
}

export const checks = {
  async "ROOM_NOT_EXIST: joins, leaves, switches and reads of a room that is not there, and all that runs one"(t) {
    const [alice, roomID] = [t.user("alice"), t.name("nowhere")];
    const theirs = ["setAttributes", "setMemberAttributes", "send"]; // of members; see the group newest
    for (const verb of onRooms.filter((v) => ![...nothing, ...theirs].includes(v))) await alice.refused("ROOM_NOT_EXIST", verb, { roomID, ...rest[verb] });
    await t.back.refused("ROOM_NOT_EXIST", "send", { roomID, ...rest.send });
    const here = await t.room("here");
    await alice.ask("enter", { roomID: here });
    await alice.refused("ROOM_NOT_EXIST", "switch", { fromRoomID: here, toRoomInfo: { roomID } });
    t.equal("rooms after the refused switch", (await alice.ask("rooms", { sync: true })).rooms.map((r) => r.roomID), [here]);
  },

  async "ROOM_ALREADY_EXISTS: create of a room that exists"(t) {
    const roomID = await t.room();
    await t.user("alice").ask("create", { roomID });
    await t.user("bob").refused("ROOM_ALREADY_EXISTS", "create", { roomID });
    await t.user("alice").refused("ROOM_ALREADY_EXISTS", "create", { roomID });
    await t.back.refused("ROOM_ALREADY_EXISTS", "create", { roomID });
    t.equal("members", (await t.back.ask("count", { roomID, sync: true })).memberCount, 1);
  },

  async "USER_ALREADY_IN_ROOM: join by a session that is in"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const { sequence } = await alice.ask("create", { roomID });
    await alice.refused("USER_ALREADY_IN_ROOM", "join", { roomID });
    t.equal("sequence after the refusal", (await t.back.ask("get", { roomID, sync: true })).sequence, sequence);
  },

  async "USER_NOT_IN_ROOM: what only a session that is in may do"(t) {
    const [roomID, other] = [await t.room(), await t.room("other")];
    const [alice, bob] = t.users("alice", "bob");
    const { sequence } = await alice.ask("create", { roomID });
    for (const verb of ["leave", "setAttributes", "setMemberAttributes", "send", "updateMember"]) {
      await bob.refused("USER_NOT_IN_ROOM", verb, { roomID, ...rest[verb] });
      await alice.session("another").refused("USER_NOT_IN_ROOM", verb, { roomID, ...rest[verb] });
    }
    await bob.refused("USER_NOT_IN_ROOM", "switch", { fromRoomID: roomID, toRoomInfo: { roomID: other }, isCreateWhenRoomNotExisted: true });
    await bob.refused("ROOM_NOT_EXIST", "join", { roomID: other });
    t.equal("sequence after the refusals", (await t.back.ask("get", { roomID, sync: true })).sequence, sequence);
  },

  async "USER_NOT_IN_ROOM: messages from before, where only those may read who were there"(t) {
    const roomID = await t.room();
    const [alice, bob, carol] = t.users("alice", "bob", "carol");
    const { instanceID } = await alice.ask("create", { roomID, config: { historyForJoiners: false } });
    await alice.ask("send", { roomID, type: "text", data: "before" });
    const ask = { roomID, instanceID, afterMessageSeq: 0, sync: true };
    await carol.refused("USER_NOT_IN_ROOM", "history", ask);
    await bob.ask("join", { roomID });
    await alice.ask("send", { roomID, type: "text", data: "after" });
    const texts = async (caller) => (await caller.ask("history", ask)).events.map((e) => e.data.data);
    t.equal("what somebody reads who joined in between", await texts(bob), ["after"]);
    t.equal("what somebody reads who was there", await texts(alice), ["before", "after"]);
    t.equal("what the back end reads", await texts(t.back), ["before", "after"]);
  },

  async "ROOM_FULL: join, enter and switch into a room that has all the members it may"(t) {
    const [roomID, from] = [await t.room(), await t.room("from")];
    const [alice, bob] = t.users("alice", "bob");
    await alice.ask("create", { roomID, config: { maxMembers: 1 } });
    await bob.ask("enter", { roomID: from });
    const full = { limit: 1, actual: 1 };
    await bob.refused("ROOM_FULL", "join", { roomID }, full);
    await bob.refused("ROOM_FULL", "enter", { roomID }, full);
    await bob.refused("ROOM_FULL", "switch", { fromRoomID: from, toRoomInfo: { roomID } }, full);
    t.equal("rooms after the refused switch", (await bob.ask("rooms", { sync: true })).rooms.map((r) => r.roomID), [from]);
    t.equal("a second session of a member", (await alice.session("two").ask("join", { roomID })).room.memberCount, 1);
    for (const s of [alice, alice.session("two")]) await s.ask("leave", { roomID });
    t.equal("created when it is there no more", (await bob.ask("enter", { roomID })).created, true);
  },

  async "REVISION_MISMATCH comes with the attributes as they are"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const { revision } = await alice.ask("create", { roomID });
    const first = await alice.ask("setAttributes", { roomID, set: { n: "1" }, ifRevision: revision });
    const late = await alice.refused("REVISION_MISMATCH", "setAttributes", { roomID, set: { n: "2" }, ifRevision: revision });
    t.like("the refusal", late, { attributes: { n: "1" }, revision: first.revision, sequence: first.sequence, instanceID: first.instanceID });
    await alice.refused("REVISION_MISMATCH", "setAttributes", { roomID, set: { n: "1" }, ifRevision: revision });
    await t.user("bob").ask("join", { roomID });
    t.equal("attributes by the newest revision, though somebody has joined since", (await alice.ask("setAttributes", { roomID, set: { n: "3" }, ifRevision: first.revision })).attributes, { n: "3" });
  },

  async "BUSY: a read that wants what nobody has stored yet"(t) {
    const roomID = await t.room();
    const { revision } = await t.user("alice").ask("create", { roomID });
    await t.back.refused("BUSY", "get", { roomID, minRevision: revision + 1_000_000_000 }, { field: "minRevision" });
  },

  async "PARAM_INVALID: the body is not one JSON object, or too large"(t) {
    for (const verb of verbs) {
      await t.back.refused("PARAM_INVALID", verb, "{");
      await t.back.refused("PARAM_INVALID", verb, "[]");
      await t.back.refused("PARAM_INVALID", verb, `{"x":"${"x".repeat(64 << 10)}"}`, { limit: 64 << 10 });
    }
  },

  async "PARAM_INVALID: a field of the wrong type is named"(t) {
    const roomID = t.name("room");
    await invalid(t, t.user("alice"), [
      ["join", "roomID", { roomID: 1 }],
      ["join", "leaseSeconds", { roomID, leaseSeconds: "5" }],
      ["create", "config", { roomID, config: [] }],
      ["create", "config.maxMembers", { roomID, config: { maxMembers: "9" } }],
      ["kick", "userIDs", { roomID, userIDs: "bob" }],
      ["setAttributes", "set.a", { roomID, set: { a: 1 } }],
      ["setAttributes", "isForce", { roomID, set: { a: "1" }, isForce: 1 }],
      ["switch", "toRoomInfo", { fromRoomID: roomID, toRoomInfo: "x" }],
      ["history", "afterSequence", { roomID, instanceID: "x", afterSequence: -1 }],
      ["send", "data", { roomID, type: "text", data: { a: 1 } }],
    ]);
    await invalid(t, t.back, [["block", "seconds", { userID: t.name("user"), seconds: "60" }], ["block", "issuedBefore", { userID: t.name("user"), issuedBefore: "yesterday" }]]);
  },

  async "PARAM_INVALID: a verb that names a room needs its ID"(t) {
    const alice = t.user("alice");
    for (const verb of onRooms) await alice.refused("PARAM_INVALID", verb, rest[verb], { field: "roomID" });
    await alice.refused("PARAM_INVALID", "switch", { toRoomInfo: { roomID: "x" } }, { field: "fromRoomID" });
    await alice.refused("PARAM_INVALID", "switch", { fromRoomID: "x" }, { field: "toRoomInfo.roomID" });
  },

  async "PARAM_INVALID: where a user acts, a back end has to name the user"(t) {
    const roomID = t.name("room");
    const anonymous = ["create", "get", "members", "count", "memberOf", "list", "history", "instances", "send", "kick", "setAccess", "destroy", "blocked", "update", "setRole", "ban", "unban", "mute", "unmute", "setAttributes", "deleteMessages"];
    for (const verb of verbs.filter((v) => !anonymous.includes(v))) {
      const body = verb === "switch" ? { fromRoomID: roomID, toRoomInfo: { roomID: `${roomID}2` } } : { roomID, ...rest[verb] };
      await t.back.refused("PARAM_INVALID", verb, body, { field: "userID" });
    }
  },

  async "PARAM_INVALID: IDs that are empty, too long, or have control characters"(t) {
    const long = "x".repeat(129);
    const alice = t.user("alice");
    for (const roomID of ["", "a\u0000b", "a\nb", "\u007f", "a\u0085b", "a\ufffe"]) await alice.refused("PARAM_INVALID", "enter", { roomID }, { field: "roomID" });
    await alice.refused("PARAM_INVALID", "enter", { roomID: long }, { field: "roomID", limit: 128, actual: 129 });
    await alice.refused("PARAM_INVALID", "enter", { roomID: "ü".repeat(65) }, { field: "roomID", limit: 128, actual: 130 });
    await t.back.refused("PARAM_INVALID", "enter", { roomID: "x", userID: long }, { field: "userID", limit: 128, actual: 129 });
    await t.back.refused("PARAM_INVALID", "enter", { roomID: "x", userID: "a\tb" }, { field: "userID" });
    await invalid(t, alice, [
      ["kick", "userIDs", { roomID: "x", userIDs: [long] }],
      ["memberOf", "userIDs", { roomID: "x", userIDs: [""] }],
      ["setAccess", "allow", { roomID: "x", allow: ["a\u0001"] }],
      ["switch", "fromRoomID", { fromRoomID: long, toRoomInfo: { roomID: "x" } }],
      ["switch", "toRoomInfo.roomID", { fromRoomID: "x", toRoomInfo: { roomID: long } }],
    ]);
  },

  async "PARAM_INVALID: what a caller says about itself"(t) {
    const [roomID, alice] = [t.name("room"), t.user("alice")];
    await invalid(t, alice, [
      ["enter", "sessionID", { roomID, sessionID: "x".repeat(65) }, { limit: 64, actual: 65 }],
      ["enter", "sessionID", { roomID, sessionID: "a\nb" }],
      ["enter", "requestID", { roomID, requestID: "x".repeat(65) }, { limit: 64, actual: 65 }],
      ["enter", "userName", { roomID, userName: "a\u0007" }],
      ["enter", "userName", { roomID, userName: "x".repeat(1025) }],
      ["enter", "userInfo", { roomID, userInfo: "x" }],
      ["enter", "userInfo", { roomID, userInfo: { x: "x".repeat(1024) } }, { limit: 1024 }],
      ["enter", "leaseSeconds", { roomID, leaseSeconds: 4 }],
      ["enter", "leaseSeconds", { roomID, leaseSeconds: 3601 }, { limit: 3600, actual: 3601 }],
      ["enter", "leaseSeconds", { roomID, leaseSeconds: -1 }],
      ["enter", "connection", { roomID, connection: { serverID: "", clientID: 1 } }],
    ]);
    await t.back.refused("ROOM_NOT_EXIST", "get", { roomID });
  },

  async "PARAM_INVALID: a room's name and config"(t) {
    const [roomID, alice] = [t.name("room"), t.user("alice")];
    for (const [field, body, more] of [
      ["roomName", { roomName: "x".repeat(1025) }],
      ["roomName", { roomName: "a\nb" }],
      ["config.roomDestroyDelayTime", { config: { roomDestroyDelayTime: 10801 } }, { limit: 10800, actual: 10801, message: /roomDestroyDelayTime/ }],
      ["config.roomDestroyDelayTime", { config: { roomDestroyDelayTime: -1 } }],
      ["config.maxMembers", { config: { maxMembers: -1 } }],
      ["config.attributes", { config: { attributes: "mine" } }],
      ["config.speakers", { config: { speakers: "some" } }],
      ["config.hosts", { config: { hosts: "all" } }],
      ["config.delivery", { config: { delivery: "all" } }],
      ["config.access", { config: { access: "closed" } }],
      ["config.allowedUsers", { config: { allowedUsers: ["bob"] } }],
      ["config.allowedUsers", { config: { access: "listed", allowedUsers: list(501) } }, { limit: 500, actual: 501 }],
    ]) {
      for (const verb of ["create", "enter"]) await alice.refused("PARAM_INVALID", verb, { roomID, ...body }, { field, ...more });
    }
    await t.back.refused("ROOM_NOT_EXIST", "get", { roomID });
  },

  async "PARAM_INVALID: switch from a room to itself"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    await alice.ask("enter", { roomID });
    await alice.refused("PARAM_INVALID", "switch", { fromRoomID: roomID, toRoomInfo: { roomID } }, { field: "toRoomInfo.roomID" });
    t.equal("memberCount", (await t.back.ask("count", { roomID, sync: true })).memberCount, 1);
  },

  async "PARAM_INVALID: pages and positions"(t) {
    const [roomID, alice] = [await t.room(), t.user("alice")];
    const { instanceID } = await alice.ask("enter", { roomID });
    for (const verb of ["members", "list", "history"]) {
      const body = { roomID, instanceID, ...(verb === "history" && { afterSequence: 0 }) };
      await alice.refused("PARAM_INVALID", verb, { ...body, count: 501 }, { field: "count", limit: 500, actual: 501 });
      await alice.refused("PARAM_INVALID", verb, { ...body, count: -1 }, { field: "count" });
    }
    await invalid(t, alice, [
      ["members", "nextFlag", { roomID, nextFlag: "no flag!" }],
      ["history", "instanceID", { roomID, instanceID: "", afterSequence: 0 }],
      ["history", "afterSequence", { roomID, instanceID, afterSequence: 0, afterMessageSeq: 0 }],
      ["history", "afterSequence", { roomID, instanceID, afterMessageSeq: 0, beforeMessageSeq: 0 }],
    ]);
  },

  async "PARAM_INVALID: lists of users that are empty or too long"(t) {
    const [roomID, alice] = [await t.room(), t.user("alice")];
    await alice.ask("enter", { roomID });
    const set = { attributes: { a: "1" } };
    await invalid(t, alice, [
      ["kick", "userIDs", { roomID, userIDs: [] }],
      ["kick", "userIDs", { roomID, userIDs: list(51) }, { limit: 50, actual: 51 }],
      ...["ban", "unban", "mute", "unmute"].flatMap((verb) => [
        [verb, "userIDs", { roomID, userIDs: [] }],
        [verb, "userIDs", { roomID, userIDs: list(51) }, { limit: 50, actual: 51 }],
      ]),
      ["setRole", "userIDs", { roomID, userIDs: list(101), role: "host" }, { limit: 100, actual: 101 }],
      ["memberOf", "userIDs", { roomID, userIDs: list(101) }, { limit: 100, actual: 101 }],
      ["setMemberAttributes", "userIDs", { roomID, userIDs: [], ...set }],
      ["setMemberAttributes", "userIDs", { roomID, userIDs: list(101), ...set }, { limit: 100, actual: 101 }],
      ["setAccess", "allow", { roomID, access: "listed", allow: list(501) }, { limit: 500, actual: 501 }],
      ["setAccess", "disallow", { roomID, disallow: list(501) }, { limit: 500, actual: 501 }],
    ]);
    t.equal("50 users for kick are accepted", (await alice.ask("kick", { roomID, userIDs: list(50) })).errorUserList.length, 50);
    t.equal("100 users for memberOf are accepted", (await alice.ask("memberOf", { roomID, userIDs: list(100) })).errorUserList.length, 100);
  },

  async "PARAM_INVALID: messages"(t) {
    const [roomID, alice] = [await t.room(), t.user("alice")];
    await alice.ask("enter", { roomID });
    for (const [field, body, more] of [
      ["type", { type: "shout", data: "x" }],
      ["data", { type: "text", data: "" }],
      ["subType", { type: "text", data: "x", subType: 1 }],
      ["subType", { type: "custom", data: "x", subType: 201 }, { limit: 200, actual: 201 }],
      ["priority", { type: "text", data: "x", priority: "top" }],
      ["extendedData", { type: "text", data: "x", extendedData: "x".repeat(1025) }, { limit: 1024, actual: 1025 }],
    ]) await alice.refused("PARAM_INVALID", "send", { roomID, ...body }, { field, ...more });
    await alice.ask("send", { roomID, type: "custom", data: "last", subType: 200, extendedData: "x".repeat(1024) });
    await t.heard(roomID).event("message.sent", { data: "last" });
    t.equal("the messages", t.heard(roomID).messages.length, 1);
  },

  async "PARAM_INVALID: changes of attributes and access that change nothing or contradict themselves"(t) {
    const [roomID, alice] = [await t.room(), t.user("alice")];
    const { sequence } = await alice.ask("enter", { roomID });
    await invalid(t, alice, [
      ["setAttributes", "set", { roomID }],
      ["setAttributes", "delete", { roomID, set: { a: "1" }, delete: ["a"] }],
      ["setMemberAttributes", "attributes", { roomID, userIDs: [alice.userID], attributes: {} }],
      ["setAccess", "access", { roomID }],
      ["setAccess", "access", { roomID, access: "shut" }],
      ["setAccess", "disallow", { roomID, disallow: [alice.userID] }], // it does not go by a list
      ["update", "config", { roomID }],
      ["update", "config", { roomID, config: {} }],
      ["update", "config.delivery", { roomID, config: { delivery: "open" } }],
      ["update", "config.roomAttributes", { roomID, config: { roomAttributes: { a: "1" } } }],
      ["update", "config.maxMembers", { roomID, config: { maxMembers: -1 } }],
      ["update", "config.speakers", { roomID, config: { speakers: "some" } }],
      ["update", "roomName", { roomID, roomName: "a\nb" }],
      ["updateMember", "userName", { roomID }],
      ["setRole", "role", { roomID, userIDs: [alice.userID], role: "king" }],
      ["ban", "seconds", { roomID, userIDs: ["bob"], seconds: -1 }],
      ["mute", "seconds", { roomID, userIDs: ["bob"], seconds: 1e10 }],
    ]);
    t.equal("sequence", (await t.back.ask("get", { roomID, sync: true })).sequence, sequence);
  },

  async "PARAM_INVALID: reasons that are too long"(t) {
    const [roomID, alice] = [await t.room(), t.user("alice")];
    await alice.ask("enter", { roomID });
    const long = { reason: "x".repeat(257) };
    await alice.refused("PARAM_INVALID", "kick", { roomID, userIDs: ["bob"], ...long }, { field: "reason", limit: 256, actual: 257 });
    for (const verb of ["ban", "mute"]) await alice.refused("PARAM_INVALID", verb, { roomID, userIDs: ["bob"], ...long }, { field: "reason", limit: 256, actual: 257 });
    await alice.refused("PARAM_INVALID", "destroy", { roomID, ...long }, { field: "reason", limit: 256, actual: 257 });
    t.equal("memberCount", (await t.back.ask("count", { roomID, sync: true })).memberCount, 1);
  },

  async "unknown fields are ignored at the top level, and the reply's header names them"(t) {
    const [roomID, alice] = [await t.room(), t.user("alice")];
    const { reply, ignored } = await alice.answer("enter", alice.body({ roomID, zeta: 1, alpha: { x: [] } }));
    t.ok("enter with unknown fields succeeds", !reply.error, reply);
    t.equal("Room-Ignored-Fields", ignored, "alpha,zeta");
    const refused = await alice.answer("join", alice.body({ roomID, omega: 1 }));
    t.equal("the code of a refusal with one, and the header", [refused.reply.error?.code, refused.ignored], ["USER_ALREADY_IN_ROOM", "omega"]);
  },

  async "unknown fields inside config and toRoomInfo are refused"(t) {
    const [roomID, alice] = [t.name("none"), t.user("alice")];
    const here = await t.room();
    await alice.ask("enter", { roomID: here });
    await alice.refused("PARAM_INVALID", "create", { roomID, config: { maxMember: 9 } }, { field: "config.maxMember" });
    await alice.refused("PARAM_INVALID", "enter", { roomID, config: { roomAttribute: {} } }, { field: "config.roomAttribute" });
    await alice.refused("PARAM_INVALID", "switch", { fromRoomID: here, toRoomInfo: { roomID, name: "x" }, isCreateWhenRoomNotExisted: true }, { field: "toRoomInfo.name" });
    await t.back.refused("ROOM_NOT_EXIST", "get", { roomID });
  },

  async "a verb that is none has no responders"(t) {
    const err = await t.back.raw("dance", "{}").catch((e) => e);
    t.ok("a request on room.cmd.dance has no responders", err instanceof NoResponders, `${err}`);
  },
};
