import { token } from "../lib/wire.mjs";

export const about = "each verb does what it is for, and its reply says so";

export const checks = {
  async "create makes a room, and the creator is in it"(t) {
    const roomID = await t.room();
    const alice = t.user("alice", { userName: "Alice", userInfo: { colour: "green" } });
    const reply = await alice.ask("create", { roomID, roomName: "The lobby", config: { roomAttributes: { topic: "tea" }, maxMembers: 9, roomDestroyDelayTime: 60 } });
    t.equal("sequence", reply.sequence, 1);
    t.ok("create has no field created, which is for enter and switch", !("created" in reply), reply);
    t.like("room", reply.room, { roomID, roomName: "The lobby", createdBy: alice.userID, memberCount: 1, attributes: { topic: "tea" }, sequence: 1, instanceID: reply.instanceID, revision: reply.revision });
    t.like("room.config", reply.room.config, { maxMembers: 9, roomDestroyDelayTime: 60 });
    t.equal("subscribe of a back end", reply.subscribe, [`room.evt.${token(roomID)}`, `room.msg.${token(roomID)}`]);
    const fact = await t.heard(roomID).at(reply);
    t.equal("the first fact", fact.name, "room.created");
    t.equal("its header Nats-Sequence", fact.headers.get("Nats-Sequence"), String(reply.revision));
    t.like("its entry", fact.data.memberList[0], { userID: alice.userID, userName: "Alice", userInfo: { colour: "green" }, via: "create", sessionID: "default" });
    t.like("its room", fact.data.room, { roomName: "The lobby", attributes: { topic: "tea" }, createdBy: alice.userID });
  },

  async "create without a user makes an empty room, which waits 300 s for its first member"(t) {
    const roomID = await t.room();
    const { room } = await t.back.ask("create", { roomID });
    t.like("room", room, { memberCount: 0, createdBy: "" });
    t.equal("seconds from createdAt to destroyAt", (Date.parse(room.destroyAt) - Date.parse(room.createdAt)) / 1000, 300);
    const { room: joined } = await t.user("alice").ask("join", { roomID });
    t.ok("no destroyAt once somebody is in", joined.destroyAt === undefined, joined);
  },

  async "join brings a user into a room that exists"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await alice.ask("create", { roomID });
    const reply = await bob.ask("join", { roomID });
    t.like("the reply", reply, { sequence: 2 });
    t.like("room", reply.room, { roomID, memberCount: 2 });
    t.equal("via", (await t.entry(roomID, reply, "member.joined", bob.userID)).via, "join");
  },

  async "enter makes the room if there is none, joins it if there is, and says which"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    const first = await alice.ask("enter", { roomID, roomName: "A", config: { roomAttributes: { a: "1" } } });
    t.equal("created of the first", first.created, true);
    const second = await bob.ask("enter", { roomID, roomName: "B", config: { roomAttributes: { b: "2" } } });
    t.equal("created of the second", second.created, false);
    t.like("room, whose name and config counted only when it was made", second.room, { roomName: "A", attributes: { a: "1" } });
    t.equal("via", (await t.entry(roomID, second, "member.joined", bob.userID)).via, "enter");
  },

  async "enter by somebody who is in already succeeds and changes nothing"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const first = await alice.ask("enter", { roomID });
    const again = await alice.ask("enter", { roomID });
    t.like("the second reply", again, { created: false, sequence: first.sequence, instanceID: first.instanceID, revision: first.revision });
    await t.user("bob").ask("join", { roomID });
    await t.heard(roomID).event("member.joined");
    t.equal("the facts", t.heard(roomID).facts.length, 2);
  },

  async "switch leaves one room and joins another"(t) {
    const [from, to] = [await t.room("from"), await t.room("to")];
    const [alice, bob] = t.users("alice", "bob");
    await bob.ask("enter", { roomID: from });
    const before = await alice.ask("enter", { roomID: from });
    await bob.ask("enter", { roomID: to });
    const reply = await alice.ask("switch", { fromRoomID: from, toRoomInfo: { roomID: to } });
    t.like("the reply", reply, { created: false, sequence: 2, left: { roomID: from, instanceID: before.instanceID, sequence: 3 } });
    t.like("room", reply.room, { roomID: to, memberCount: 2 });
    t.like("the entry there", await t.entry(to, reply, "member.joined", alice.userID), { via: "switch", fromRoomID: from });
    t.like("the entry here", await t.entry(from, reply.left, "member.left", alice.userID), { reason: "switched", toRoomID: to });
  },

  async "block keeps a user out of everything until unblock, and blocked lists it"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await alice.ask("enter", { roomID });
    await bob.ask("enter", { roomID });
    const notices = await t.notices(bob);
    const { until } = await t.back.ask("block", { userID: bob.userID, seconds: 600, reason: "spam" });
    t.ok("until is ten minutes from now, more or less", Math.abs(Date.parse(until) - Date.now() - 600_000) < 60_000, until);
    const { data } = await t.heard(roomID).event("member.left");
    t.like("the entry of who is blocked", data.memberList[0], { userID: bob.userID, reason: "kicked", reasonText: "spam" });
    await notices.event("user.state.changed", { state: "disconnected", event: "kickedOut", reasonText: "spam" });
    const refused = await bob.refused("BLOCKED", "enter", { roomID });
    t.equal("until of the refusal", refused.until, until);
    t.like("blocked", (await t.back.ask("blocked", { userID: bob.userID })).userList[0], { userID: bob.userID, blocked: true, until, reason: "spam" });
    await t.back.ask("block", { userID: bob.userID, tokenID: "T1" });
    t.like("unblock", await t.back.ask("unblock", { userID: bob.userID }), { blocked: false, tokens: [{ tokenID: "T1" }] });
    t.equal("blocked, with nothing left", (await t.back.ask("unblock", { userID: bob.userID, tokens: true })).tokens, undefined);
    t.equal("the list", (await t.back.ask("blocked", { userID: bob.userID })).userList, []);
    await bob.ask("enter", { roomID });
  },

  async "leave takes a session out, and answers with the position after it"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await alice.ask("enter", { roomID });
    const { room } = await bob.ask("enter", { roomID });
    const reply = await bob.ask("leave", { roomID });
    t.like("the reply", reply, { roomID, sequence: 3, instanceID: room.instanceID });
    const entry = await t.entry(roomID, reply, "member.left", bob.userID);
    t.equal("reason", entry.reason, "left");
    t.ok("leftAt is not before joinedAt", Date.parse(entry.leftAt) >= Date.parse(entry.joinedAt), entry);
    t.equal("memberCount", (await t.heard(roomID).at(reply)).data.memberCount, 1);
  },

  async "leaveAll takes this session out of all its rooms; other sessions stay"(t) {
    const rooms = [await t.room("one"), await t.room("two"), await t.room("three")];
    const alice = t.user("alice");
    const [phone, laptop] = [alice.session("phone"), alice.session("laptop")];
    for (const roomID of rooms) await phone.ask("enter", { roomID });
    await laptop.ask("enter", { roomID: rooms[2] });
    const { roomIDList } = await phone.ask("leaveAll");
    t.equal("roomIDList", [...roomIDList].sort(), [...rooms].sort());
    const { rooms: left } = await alice.ask("rooms", { sync: true });
    t.equal("rooms of the user now", left.map((r) => r.roomID), [rooms[2]]);
    t.equal("leaveAll in no room", (await phone.ask("leaveAll")).roomIDList, []);
  },

  async "get gives the room and where it is heard"(t) {
    const roomID = await t.room();
    const { room, subscribe, ...position } = await t.user("alice").ask("enter", { roomID, roomName: "The lobby" });
    const reply = await t.back.ask("get", { roomID, sync: true });
    t.equal("room", reply.room, room);
    t.equal("subscribe", reply.subscribe, subscribe);
    t.like("the reply", reply, { instanceID: position.instanceID, sequence: position.sequence, revision: position.revision });
  },

  async "members gives everybody with all their sessions, oldest first"(t) {
    const roomID = await t.room();
    const alice = t.user("alice", { userName: "Alice", userInfo: { n: [1, { a: null }] } });
    await alice.session("phone").ask("enter", { roomID });
    await t.user("bob").ask("enter", { roomID });
    await alice.session("laptop").ask("enter", { roomID, leaseSeconds: 3000 });
    const { memberList, memberCount, nextFlag } = await t.back.ask("members", { roomID, sync: true });
    t.equal("userIDs", memberList.map((m) => m.userID), [t.name("alice"), t.name("bob")]);
    t.equal("memberCount and nextFlag", [memberCount, nextFlag], [2, ""]);
    t.like("alice", memberList[0], { userName: "Alice", userInfo: { n: [1, { a: null }] }, attributes: {} });
    t.equal("her sessions and their leases", memberList[0].sessions.map((s) => [s.sessionID, s.leaseSeconds ?? 0]), [["phone", 0], ["laptop", 3000]]);
  },

  async "count gives the number of members"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    const alone = await alice.ask("enter", { roomID });
    await bob.session("one").ask("enter", { roomID });
    await bob.session("two").ask("enter", { roomID });
    t.like("the reply", await t.back.ask("count", { roomID, sync: true }), { memberCount: 2, sequence: 3, instanceID: alone.instanceID });
  },

  async "memberOf says which users are members and which are not"(t) {
    const roomID = await t.room();
    const [alice, nobody] = t.users("alice", "nobody");
    await alice.ask("enter", { roomID });
    const { memberList, errorUserList } = await t.back.ask("memberOf", { roomID, userIDs: [nobody.userID, alice.userID], sync: true });
    t.equal("members", memberList.map((m) => m.userID), [alice.userID]);
    t.equal("errorUserList", errorUserList, [{ userID: nobody.userID, code: "USER_NOT_IN_ROOM", number: 6000321 }]);
  },

  async "rooms gives a user's rooms and how far each has got"(t) {
    const [a, b] = [await t.room("a"), await t.room("b")];
    const alice = t.user("alice");
    const first = await alice.ask("enter", { roomID: a });
    const second = await alice.session("other").ask("enter", { roomID: b });
    const { messageSeq } = await alice.ask("send", { roomID: a, type: "text", data: "hello" });
    const { rooms, nextFlag } = await alice.ask("rooms", { sync: true });
    t.equal("nextFlag", nextFlag, "");
    t.equal("rooms", [...rooms].sort((x, y) => (x.roomID < y.roomID ? -1 : 1)), [
      { roomID: a, instanceID: first.instanceID, sequence: 1, messageSeq },
      { roomID: b, instanceID: second.instanceID, sequence: 1, messageSeq: 0 },
    ]);
  },

  async "list gives the rooms whose ID begins with a prefix"(t) {
    const rooms = [await t.room("a1"), await t.room("a2"), await t.room("b1")];
    for (const roomID of rooms) await t.user("alice").ask("enter", { roomID });
    const { roomList, nextFlag } = await t.back.ask("list", { prefix: t.name("a"), sync: true });
    t.equal("roomIDs", roomList.map((r) => r.roomID).sort(), rooms.slice(0, 2));
    t.equal("nextFlag", nextFlag, "");
  },

  async "instances and members with at tell of a room that has ended"(t) {
    const [roomID, alice, bob] = [await t.room("room"), t.user("alice"), t.user("bob")];
    const { room } = await alice.ask("create", { roomID, roomName: "first" });
    await bob.ask("join", { roomID });
    await t.back.ask("destroy", { roomID });
    const second = await bob.ask("create", { roomID });
    const { instances, nextFlag } = await t.back.ask("instances", { roomID });
    t.equal("instances", instances.map((i) => [i.instanceID, i.roomName, i.reason]), [[second.instanceID, "", undefined], [room.instanceID, "first", "requested"]]);
    t.equal("nextFlag", nextFlag, "");
    const then = await t.back.ask("members", { roomID, at: room.createdAt });
    t.equal("members", then.memberList.map((m) => m.userID), [alice.userID]);
    t.equal("the instance", [then.instanceID, then.sequence, then.complete], [room.instanceID, 1, true]);
    await t.back.refused("ROOM_NOT_EXIST", "instances", { roomID: t.name("never") });
    await t.back.refused("PARAM_INVALID", "members", { roomID, at: "2999-01-01T00:00:00Z" }, { field: "at" });
  },

  async "renew says where the session still is"(t) {
    const [a, b] = [await t.room("a"), await t.room("b")];
    const alice = t.user("alice");
    const { instanceID } = await alice.ask("enter", { roomID: a });
    await alice.session("other").ask("enter", { roomID: b });
    const { messageSeq } = await alice.ask("send", { roomID: a, type: "custom", data: "{}" });
    const reply = await alice.ask("renew");
    t.equal("rooms", reply.rooms, [{ roomID: a, instanceID, sequence: 1, messageSeq }]);
    t.ok("no expiresAt without a lease", reply.expiresAt === undefined, reply);
  },

  async "setAttributes sets and deletes several attributes in one fact"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    await alice.ask("create", { roomID, config: { roomAttributes: { a: "1", b: "2" } } });
    const reply = await alice.ask("setAttributes", { roomID, set: { c: "3", a: "4" }, delete: ["b", "none"] });
    t.like("the reply", reply, { attributes: { a: "4", c: "3" }, errorKeys: [], sequence: 2 });
    const { name, data } = await t.heard(roomID).at(reply);
    t.equal("the fact", name, "room.attributes.changed");
    t.like("its data", data, { set: { a: "4", c: "3" }, delete: ["b"], owners: { a: alice.userID, c: alice.userID }, userID: alice.userID });
  },

  async "setMemberAttributes sets attributes of members and says who is not in the room"(t) {
    const roomID = await t.room();
    const [alice, bob, nobody] = t.users("alice", "bob", "nobody");
    await alice.ask("enter", { roomID });
    await bob.ask("enter", { roomID });
    await alice.ask("setMemberAttributes", { roomID, userIDs: [bob.userID], attributes: { old: "1" } });
    const reply = await alice.ask("setMemberAttributes", { roomID, userIDs: [alice.userID, bob.userID, nobody.userID], attributes: { level: "9" } });
    t.equal("infos", reply.infos, [{ userID: alice.userID, attributes: { level: "9" } }, { userID: bob.userID, attributes: { old: "1", level: "9" } }]);
    t.equal("errorUserList", reply.errorUserList, [{ userID: nobody.userID, code: "USER_NOT_IN_ROOM", number: 6000321 }]);
    const { name, data } = await t.heard(roomID).at(reply);
    t.equal("the fact", name, "member.attributes.changed");
    t.equal("its infos", data.infos, [alice, bob].map((u) => ({ userID: u.userID, attributes: { level: "9" } })));
  },

  async "send stores text and custom messages, and sends command and barrage live only"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    await alice.ask("enter", { roomID });
    for (const [type, more] of [["text", {}], ["custom", { subType: 7, extendedData: "x", priority: "high" }], ["command", { priority: "medium" }], ["barrage", {}]]) {
      const reply = await alice.ask("send", { roomID, type, data: `a ${type}`, ...more });
      const copy = await t.heard(roomID).event("message.sent", { messageID: reply.messageID });
      t.like("the copy", copy.data, { type, data: `a ${type}`, senderUserID: alice.userID, priority: "low", timestamp: reply.timestamp, ...more });
      t.equal(`Nats-Sequence of a ${type} message`, copy.headers.get("Nats-Sequence"), reply.messageSeq === undefined ? "" : String(reply.messageSeq));
      t.equal(`whether a ${type} message is stored`, reply.messageSeq > 0, ["text", "custom"].includes(type));
    }
  },

  async "send without a user is a message of the server"(t) {
    const roomID = await t.room();
    await t.user("alice").ask("enter", { roomID });
    const { messageID } = await t.back.ask("send", { roomID, type: "text", data: "closing soon" });
    const copy = await t.heard(roomID).event("message.sent", { messageID });
    t.like("the copy", copy.data, { senderUserID: "", data: "closing soon" });
  },

  async "history gives past facts as they were heard"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    const { instanceID } = await alice.ask("enter", { roomID });
    const last = await bob.ask("enter", { roomID });
    await t.heard(roomID).at(last);
    const reply = await t.back.ask("history", { roomID, instanceID, afterSequence: 0, sync: true });
    t.like("the reply", reply, { instanceID, nextFlag: "", complete: true, sequence: 2 });
    t.equal("the facts", reply.events.map((e) => [e.id, e.type, e.data]), t.heard(roomID).facts.map((e) => [e.id, e.type, e.data]));
    t.equal("those after 1", (await t.back.ask("history", { roomID, instanceID, afterSequence: 1, sync: true })).events.map((e) => e.data.sequence), [2]);
  },

  async "history gives stored messages as they were heard"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const { instanceID } = await alice.ask("enter", { roomID });
    const sent = [];
    for (const data of ["one", "two"]) sent.push(await alice.ask("send", { roomID, type: "text", data }));
    await alice.ask("send", { roomID, type: "barrage", data: "live" });
    const reply = await t.back.ask("history", { roomID, instanceID, afterMessageSeq: 0, sync: true });
    t.like("the reply", reply, { nextFlag: "", complete: true, messageSeq: sent[1].messageSeq });
    t.equal("the messages", reply.events.map((e) => [e.data.data, e.data.messageID, e.data.messageSeq]), [["one", sent[0].messageID, sent[0].messageSeq], ["two", sent[1].messageID, sent[1].messageSeq]]);
    t.equal("those after the first", (await t.back.ask("history", { roomID, instanceID, afterMessageSeq: sent[0].messageSeq, sync: true })).events.map((e) => e.data.data), ["two"]);
  },

  async "kick puts users out with all their sessions, and says who was not in"(t) {
    const roomID = await t.room();
    const [alice, bob, nobody] = t.users("alice", "bob", "nobody");
    await alice.ask("enter", { roomID });
    await bob.session("one").ask("enter", { roomID });
    await bob.session("two").ask("enter", { roomID });
    const reply = await alice.ask("kick", { roomID, userIDs: [bob.userID, nobody.userID], reason: "too loud" });
    t.like("the reply", reply, { kicked: [bob.userID], errorUserList: [{ userID: nobody.userID, code: "USER_NOT_IN_ROOM", number: 6000321 }] });
    const { data } = await t.heard(roomID).event("member.left");
    t.equal("the number of entries", data.memberList.length, 1);
    t.like("the entry", data.memberList[0], { userID: bob.userID, reason: "kicked", reasonText: "too loud", operator: alice.userID });
    t.equal("kick of nobody who is in", (await t.back.ask("kick", { roomID, userIDs: [nobody.userID] })).kicked, []);
  },

  async "setAccess says who may join, and members stay"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await alice.ask("enter", { roomID });
    const reply = await t.back.ask("setAccess", { roomID, access: "listed", allow: [bob.userID, alice.userID] });
    t.like("config", reply.config, { access: "listed", allowedUsers: [alice.userID, bob.userID].sort() });
    const { name, data } = await t.heard(roomID).at(reply);
    t.equal("the fact", name, "room.access.changed");
    t.like("its data", data, { access: "listed", allowedUsers: [alice.userID, bob.userID].sort(), userID: "" });
    const less = await t.back.ask("setAccess", { roomID, disallow: [alice.userID] });
    t.equal("allowedUsers after disallow", less.config.allowedUsers, [bob.userID]);
    t.equal("memberCount", (await t.back.ask("count", { roomID, sync: true })).memberCount, 1);
    t.equal("a setAccess that changes nothing", (await t.back.ask("setAccess", { roomID, access: "listed" })).sequence, less.sequence);
  },

  async "update changes the room's name and rules, and leaves the others"(t) {
    const roomID = await t.room();
    await t.user("alice").ask("create", { roomID, roomName: "A", config: { maxMembers: 9, roomDestroyDelayTime: 60 } });
    const reply = await t.back.ask("update", { roomID, roomName: "B", config: { maxMembers: 7, historyForJoiners: false, attributes: "owned", speakers: "hosts" } });
    const config = { maxMembers: 7, roomDestroyDelayTime: 60, historyForJoiners: false, attributes: "owned", speakers: "hosts" };
    t.like("the reply", reply, { roomName: "B", sequence: 2 });
    t.like("its config", reply.config, config);
    const { name, data } = await t.heard(roomID).at(reply);
    t.equal("the fact", name, "room.updated");
    t.like("its data", data, { roomName: "B", userID: "", config: reply.config });
    t.equal("an update that changes nothing", (await t.back.ask("update", { roomID, config: { maxMembers: 7 } })).sequence, 2);
    const { room } = await t.back.ask("get", { roomID, sync: true });
    t.equal("roomName and config of get", [room.roomName, room.config], ["B", reply.config]);
    t.equal("roomName taken away", (await t.back.ask("update", { roomID, roomName: "" })).roomName, "");
  },

  async "updateMember changes what others see of a user"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    await alice.ask("create", { roomID, userName: "A", userInfo: { n: 1 } });
    const reply = await alice.ask("updateMember", { roomID, userName: "Alice" });
    t.like("member", reply.member, { userID: alice.userID, userName: "Alice", userInfo: { n: 1 } });
    const { name, data } = await t.heard(roomID).at(reply);
    t.equal("the fact", name, "member.updated");
    t.like("its entry", data.infos[0], { userID: alice.userID, userName: "Alice", userInfo: undefined, role: undefined });
    t.like("with another info", (await alice.ask("updateMember", { roomID, userInfo: { n: 2 } })).member, { userName: "Alice", userInfo: { n: 2 } });
  },

  async "deleteMessages and eraseUser take back what was said, and everybody is told"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    const { instanceID } = await alice.ask("create", { roomID, config: { roomDestroyDelayTime: 60 } });
    await bob.ask("join", { roomID });
    const said = [];
    for (const who of [alice, bob, alice, bob]) said.push((await who.ask("send", { roomID, type: "text", data: `by ${who.userID}` })).messageSeq);
    const left = async () => {
      const { events, deleted } = await t.back.ask("history", { roomID, instanceID, afterMessageSeq: 0, sync: true });
      return [events.length, deleted ?? []];
    };
    t.equal("messageSeqs", (await t.back.ask("deleteMessages", { roomID, messageSeqs: [said[0]] })).messageSeqs, [said[0]]);
    const { data } = await t.heard(roomID).event("message.deleted", { roomID });
    t.equal("what everybody is told", data.messageSeqs, [said[0]]);
    t.equal("how many are left, and which were deleted", await left(), [3, [said[0]]]);
    t.equal("erased", (await t.back.ask("eraseUser", { userID: bob.userID })).erased, 2);
    t.equal("how many are left in the end", (await left())[0], 1);
  },

  async "setRole makes members hosts, who stay it when they come back; config.hosts makes the creator one"(t) {
    const roomID = await t.room();
    const [alice, bob, nobody] = t.users("alice", "bob", "nobody");
    const roles = async () => (await t.back.ask("members", { roomID, sync: true })).memberList.map((m) => m.role ?? "member");
    await alice.ask("create", { roomID, config: { hosts: "creator" } });
    await bob.ask("join", { roomID });
    t.equal("roles at first", await roles(), ["host", "member"]);
    const reply = await t.back.ask("setRole", { roomID, userIDs: [bob.userID, nobody.userID], role: "host" });
    t.like("the reply", reply, { userIDs: [bob.userID], errorUserList: [{ userID: nobody.userID, code: "USER_NOT_IN_ROOM", number: 6000321 }], sequence: 3 });
    t.like("the fact's data", (await t.heard(roomID).event("member.updated")).data, { infos: [{ userID: bob.userID, role: "host" }], userID: "" });
    await bob.ask("leave", { roomID });
    const back = await bob.ask("join", { roomID });
    t.equal("role of the entry of his return", (await t.entry(roomID, back, "member.joined", bob.userID)).role, "host");
    await t.back.ask("update", { roomID, config: { hosts: "none" } });
    t.equal("roles once the creator is none by itself", await roles(), ["member", "host"]);
    await t.back.ask("update", { roomID, config: { hosts: "creator" } });
    await t.back.ask("setRole", { roomID, userIDs: [bob.userID], role: "member" });
    t.equal("roles in the end", await roles(), ["host", "member"]);
  },

  async "ban puts users out and is kept; mute is kept; unban and unmute end them"(t) {
    const roomID = await t.room();
    const [alice, bob, eve] = t.users("alice", "bob", "eve");
    for (const user of [alice, bob]) await user.ask("enter", { roomID });
    const reply = await t.back.ask("ban", { roomID, userIDs: [bob.userID, eve.userID], seconds: 60, reason: "spam" });
    t.like("the reply", reply, { userIDs: [bob.userID, eve.userID], sequence: 4 });
    t.like("the entry of who was in", await t.entry(roomID, { ...reply, sequence: 3 }, "member.left", bob.userID), { reason: "kicked", reasonText: "spam" });
    const { name, data } = await t.heard(roomID).at(reply);
    t.equal("the fact", name, "room.access.changed");
    t.like("its data", data, { bans: [bob, eve].map((u) => ({ userID: u.userID, until: reply.until, reason: "spam" })), mutes: undefined });
    t.equal("sequence of one more that changes nothing", (await t.back.ask("unmute", { roomID, userIDs: [eve.userID] })).sequence, 4);
    t.equal("memberCount after a back end brought him in again", (await bob.ask("join", { roomID })).room.memberCount, 2);
    const mute = await t.back.ask("mute", { roomID, userIDs: [bob.userID] });
    t.equal("until of a mute without an end", mute.until, undefined);
    await bob.ask("send", { roomID, type: "text", data: "by a back end" });
    const now = await t.back.ask("get", { roomID, sync: true });
    t.equal("bans of get", now.bans.map((x) => [x.userID, x.until]), [bob, eve].map((u) => [u.userID, reply.until]));
    t.equal("mutes of get", now.mutes, [{ userID: bob.userID }]);
    const lifted = await t.back.ask("unban", { roomID, userIDs: [eve.userID] });
    t.equal("bans of the fact of an unban", (await t.heard(roomID).at(lifted)).data.bans, [{ userID: eve.userID, lifted: true }]);
    await t.back.ask("unmute", { roomID, userIDs: [bob.userID] });
    const { bans, mutes } = await t.back.ask("get", { roomID, sync: true });
    t.equal("bans and mutes in the end", [bans.map((x) => x.userID), mutes ?? []], [[bob.userID], []]);
  },

  async "destroy puts everybody out and ends the room"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    for (const user of [alice, bob]) await user.ask("enter", { roomID });
    t.equal("roomID", (await alice.ask("destroy", { roomID, reason: "closed" })).roomID, roomID);
    const { data } = await t.heard(roomID).event("room.destroyed");
    t.like("room.destroyed", data, { reason: "requested", operator: alice.userID });
    const left = t.heard(roomID).of("member.left").flatMap((e) => e.data.memberList);
    t.equal("who left", left.map((m) => [m.userID, m.reason, m.reasonText]), [alice, bob].map((u) => [u.userID, "destroyed", "closed"]));
    await t.back.refused("ROOM_NOT_EXIST", "get", { roomID });
    const fresh = await alice.ask("enter", { roomID });
    t.ok("the next room of that name is another instance", fresh.instanceID !== data.instanceID, fresh.instanceID);
    t.like("the next room", fresh, { created: true, sequence: 1 });
  },
};
