import { checkEvent } from "../lib/contract.mjs";

export const about = "every change is an event: what each one says";

export const checks = {
  async "every entry has the requestID of the command that caused it"(t) {
    const id = (n) => t.name(n);
    const [a, b] = [await t.room("a"), await t.room("b")];
    const [alice, bob] = t.users("alice", "bob");
    await alice.ask("create", { roomID: a, requestID: id("r1") });
    await bob.ask("join", { roomID: a, requestID: id("r2") });
    await alice.ask("setAttributes", { roomID: a, set: { n: "1" }, requestID: id("r3") });
    await alice.ask("setMemberAttributes", { roomID: a, userIDs: [bob.userID], attributes: { n: "1" }, requestID: id("r4") });
    await t.back.ask("setAccess", { roomID: a, access: "listed", requestID: id("r5") });
    await bob.ask("switch", { fromRoomID: a, toRoomInfo: { roomID: b }, isCreateWhenRoomNotExisted: true, requestID: id("r6") });
    await t.back.ask("kick", { roomID: b, userIDs: [bob.userID], requestID: id("r7") });
    await alice.ask("destroy", { roomID: a, requestID: id("r8") });
    await t.heard(a).event("room.destroyed");
    await t.heard(b).event("room.destroyed");
    const ids = (roomID) => t.heard(roomID).facts.map((e) => [e.name, (e.data.memberList?.[0] ?? e.data.changes?.[0] ?? e.data).requestID]);
    t.equal("in the first room", ids(a), [
      ["room.created", id("r1")], ["member.joined", id("r2")], ["room.attributes.changed", id("r3")], ["member.attributes.changed", id("r4")],
      ["room.access.changed", id("r5")], ["member.left", id("r6")], ["member.left", id("r8")], ["room.destroyed", id("r8")],
    ]);
    t.equal("in the other", ids(b), [["room.created", id("r6")], ["member.left", id("r7")], ["room.destroyed", undefined]]);
  },

  async "further sessions of a member: session.joined and session.left; it joins with the first and leaves with the last"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const [one, two] = [alice.session("one"), alice.session("two")];
    const first = await one.ask("enter", { roomID });
    const second = await two.ask("enter", { roomID });
    t.like("the second session", await t.entry(roomID, second, "session.joined", alice.userID), { sessionID: "two", via: "enter" });
    t.equal("memberCount", second.room.memberCount, 1);
    t.like("the first to leave", await t.entry(roomID, await one.ask("leave", { roomID }), "session.left", alice.userID), { sessionID: "one", reason: "left" });
    const last = await t.entry(roomID, await two.ask("leave", { roomID }), "member.left", alice.userID);
    t.equal("joinedAt of the last one's entry: one entry is enough to bill the whole stay", last.joinedAt, (await t.heard(roomID).at(first)).data.memberList[0].joinedAt);
  },

  async "what facts leave out is what the contract says, and what replies say"(t) {
    const roomID = await t.room();
    const [alice, bob] = [t.user("alice"), t.user("bob", { userName: "Bob" }).session("phone")];
    const fact = async (position) => (await t.heard(roomID).at(position)).data;
    const member = async (u) => (await t.back.ask("memberOf", { roomID, userIDs: [u.userID], sync: true })).memberList[0];
    const born = await alice.ask("enter", { roomID, config: { roomDestroyDelayTime: 60 } });
    const begun = await fact(born);
    const { revision, ...as } = born.room;
    t.equal("the room in its first fact", begun.room, as);
    const entry = async (position) => (await fact(position)).memberList[0];
    t.like("an entry of somebody who gave no name and no session", begun.memberList[0], { userName: "", sessionID: "default", via: "enter", joinedAt: (await member(alice)).joinedAt });
    t.like("an entry of somebody who did", await entry(await bob.ask("join", { roomID })), { userName: "Bob", sessionID: "phone", via: "join", joinedAt: (await member(bob)).joinedAt });

    const set = (caller, body) => caller.ask("setAttributes", { roomID, ...body }).then(fact);
    t.like("attributes of her own", await set(alice, { set: { hers: "1" } }), { set: { hers: "1" }, delete: [], owners: { hers: alice.userID } });
    t.like("attributes of hers and his", await set(bob, { set: { hers: "2", his: "2" }, isForce: true }), { owners: { hers: alice.userID, his: bob.userID } });
    t.like("attributes that are deleted", await set(alice, { delete: ["hers"] }), { set: {}, delete: ["hers"], owners: {} });
    for (const goes of [true, false]) {
      const done = await alice.ask("setMemberAttributes", { roomID, userIDs: [bob.userID], attributes: { [`goes ${goes}`]: "1" }, isDeleteAfterOwnerLeft: goes });
      t.equal(`deleteAfterOwnerLeft of attributes of which it is ${goes}`, (await fact(done)).deleteAfterOwnerLeft, goes);
    }
    t.like("who may join: with a token", await fact(await t.back.ask("setAccess", { roomID, access: "token" })), { access: "token", allowedUsers: [] });
    t.like("who may join: listed", await fact(await t.back.ask("setAccess", { roomID, access: "listed", allow: [bob.userID] })), { access: "listed", allowedUsers: [alice.userID, bob.userID] });
    t.like("the room's name and rules", await fact(await t.back.ask("update", { roomID, config: { maxMembers: 9 } })), { userID: "", roomName: "", config: { roomDestroyDelayTime: 60, maxMembers: 9, access: "listed", allowedUsers: [alice.userID, bob.userID] } });

    const { joinedAt } = await member(bob);
    const left = await bob.ask("leave", { roomID });
    t.like("an entry of somebody who leaves", await entry(left), { userName: "Bob", sessionID: "phone", reason: "left", joinedAt, leftAt: (await t.heard(roomID).at(left)).time });
    t.like("a return, with what stayed", await entry(await bob.ask("enter", { roomID })), { via: "enter", attributes: { "goes false": "1" } });
    await t.back.ask("kick", { roomID, userIDs: [bob.userID] });
    await t.heard(roomID).event("member.left", ({ memberList: [e] }) => e.userID === bob.userID && e.reason === "kicked");
    await t.back.ask("destroy", { roomID });
    t.like("the room in its last fact", (await t.heard(roomID).event("room.destroyed")).data.room, { roomID, instanceID: born.instanceID, createdAt: as.createdAt, createdBy: alice.userID, memberCount: 0 });
  },

  async "traceparent of a command is in its fact"(t) {
    const roomID = await t.room();
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const traced = await t.user("alice").ask("enter", { roomID }, { traceparent });
    const plain = await t.user("bob").ask("enter", { roomID }, { traceparent: "nonsense" });
    t.equal("traceparent of the first fact", (await t.heard(roomID).at(traced)).traceparent, traceparent);
    t.equal("traceparent of a command that had none that is valid", (await t.heard(roomID).at(plain)).traceparent, undefined);
  },

  async "a room that ends says why, and what it was"(t) {
    const [empty, asked] = [await t.room("empty"), await t.room("asked")];
    const alice = t.user("alice");
    await alice.ask("create", { roomID: empty, roomName: "One", config: { roomAttributes: { a: "1" } } });
    await alice.ask("leave", { roomID: empty });
    await t.back.ask("create", { roomID: asked });
    await alice.ask("destroy", { roomID: asked });
    const first = (await t.heard(empty).event("room.destroyed")).data;
    t.like("an empty room's end", first, { reason: "empty" });
    t.like("its room", first.room, { roomName: "One", memberCount: 0, attributes: { a: "1" }, sequence: first.sequence });
    t.like("one that was asked for", (await t.heard(asked).event("room.destroyed")).data, { reason: "requested", operator: alice.userID });
  },

  async "facts are heard before or soon after the answer, never without one, and the reply's position is the fact's"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    for (const [caller, verb, body, name] of [
      [alice, "create", {}, "room.created"],
      [bob, "join", {}, "member.joined"],
      [alice, "setAttributes", { set: { a: "1" } }, "room.attributes.changed"],
      [alice, "setMemberAttributes", { userIDs: [bob.userID], attributes: { a: "1" } }, "member.attributes.changed"],
      [t.back, "setAccess", { access: "listed" }, "room.access.changed"],
      [t.back, "ban", { userIDs: ["eve"] }, "room.access.changed"],
      [alice, "update", { roomName: "A" }, "room.updated"],
      [alice, "setRole", { userIDs: [bob.userID], role: "host" }, "member.updated"],
      [bob, "updateMember", { userName: "Bob" }, "member.updated"],
      [bob, "leave", {}, "member.left"],
    ]) {
      const reply = await caller.ask(verb, { roomID, ...body });
      const fact = await t.heard(roomID).at(reply);
      t.equal(`the fact at the position of ${verb}`, fact.name, name);
      t.equal(`revision of ${verb}`, reply.revision, Number(fact.headers.get("Nats-Sequence")));
    }
    t.equal("the number of facts", t.heard(roomID).facts.length, 10);
  },

  async "IDs with any characters are one token of a subject"(t) {
    for (const id of ["a.b>c", "* =/", "=projected", "zimmer-ü", "🎉", "!~'()%+", "A-Z_09", "日本", '"\\', "\u00a0"]) {
      const roomID = await t.room("", { exactly: t.name(id) });
      const alice = t.user(id);
      const notices = await t.notices(alice);
      const { room, subscribe } = await alice.ask("enter", { roomID });
      t.like("room", room, { roomID, createdBy: alice.userID });
      t.equal("subscribe", subscribe, t.heard(roomID).subjects);
      await t.heard(roomID).event("room.created");
      await notices.event("user.state.changed", { roomID, state: "connected" });
      await alice.ask("send", { roomID, type: "text", data: id });
      await t.heard(roomID).event("message.sent", { data: id, senderUserID: alice.userID });
      t.equal("the rooms whose ID begins with it", (await t.back.ask("list", { prefix: roomID, sync: true })).roomList.map((r) => r.roomID), [roomID]);
    }
  },

  async "IDs that differ in case or in how an accent is written are different rooms"(t) {
    const ids = ["Lobby", "lobby", "caf\u00e9", "cafe\u0301"].map((id) => t.name(id));
    for (const exactly of ids) {
      await t.room("", { exactly });
      t.equal(`created of ${exactly}`, (await t.user("alice").ask("enter", { roomID: exactly })).created, true);
    }
  },

  async "a message's text arrives as it was sent, whatever it is"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const { instanceID } = await alice.ask("enter", { roomID });
    const texts = ["<b>&</b>", "line\nline\ttab", "🎉 日本 ü", '"quoted" \\ back', "\u0000\u001f\u007f", "\u2028\u2029"];
    for (const data of texts) await alice.ask("send", { roomID, type: "text", data, extendedData: data });
    await t.heard(roomID).until("all messages", () => t.heard(roomID).messages.length === texts.length);
    t.equal("as heard", t.heard(roomID).messages.map((m) => [m.data.data, m.data.extendedData]), texts.map((x) => [x, x]));
    t.equal("as history has them", (await t.back.ask("history", { roomID, instanceID, afterMessageSeq: 0 })).events.map((m) => m.data.data), texts);
  },

  async "what history gives is a CloudEvent as its schema says"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const { instanceID } = await alice.ask("enter", { roomID });
    await alice.ask("send", { roomID, type: "text", data: "hello" });
    for (const position of [{ afterSequence: 0 }, { afterMessageSeq: 0 }, { beforeMessageSeq: 0 }]) {
      const { events } = await t.back.ask("history", { roomID, instanceID, ...position, sync: true });
      t.equal("the number of events", events.length, 1);
      checkEvent(JSON.stringify(events[0]));
    }
  },
};
