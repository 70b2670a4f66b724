import { nuid } from "@nats-io/nats-core";
import { checkEvent, required, verbs } from "../lib/contract.mjs";
import { rest } from "./refusals.mjs";

export const about = "what the contract got last; a service that is older does not have it";

export const checks = {
  async "history of an ended instance: facts and messages, also when the name is used again"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    const { instanceID } = await alice.ask("create", { roomID });
    await bob.ask("join", { roomID });
    for (const data of ["one", "two"]) await bob.ask("send", { roomID, type: "text", data });
    await t.back.ask("destroy", { roomID });
    const end = await t.heard(roomID).event("room.destroyed");
    const past = async () => {
      const facts = await t.back.ask("history", { roomID, instanceID, afterSequence: 0, sync: true });
      t.like("the reply about facts", facts, { instanceID, complete: true, nextFlag: "", sequence: end.data.sequence });
      t.equal("the facts", facts.events.map((e) => e.data.sequence), Array.from({ length: end.data.sequence }, (_, i) => i + 1));
      t.equal("the last of them", facts.events.at(-1).id, end.id);
      facts.events.forEach((e) => checkEvent(JSON.stringify(e)));
      const said = await t.back.ask("history", { roomID, instanceID, afterMessageSeq: 0, sync: true });
      t.like("the reply about messages", said, { instanceID, complete: true, nextFlag: "" });
      t.equal("the messages", said.events.map((e) => e.data.data), ["one", "two"]);
      t.equal("the messages, backward", (await t.back.ask("history", { roomID, instanceID, beforeMessageSeq: 0, sync: true })).events.map((e) => e.data.data), ["one", "two"]);
    };
    await past();
    await alice.ask("create", { roomID });
    await alice.ask("send", { roomID, type: "text", data: "of the next" });
    await past();
  },

  async "history of a name that never was a room is ROOM_NOT_EXIST"(t) {
    const roomID = t.name("never");
    for (const position of [{ afterSequence: 0 }, { afterMessageSeq: 0 }, { beforeMessageSeq: 0 }]) await t.back.refused("ROOM_NOT_EXIST", "history", { roomID, instanceID: nuid.next(), ...position });
  },

  async "history takes its nextFlag back, in each direction"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const { instanceID } = await alice.ask("create", { roomID });
    for (let i = 1; i <= 5; i++) {
      await alice.ask("setAttributes", { roomID, set: { n: `${i}` } });
      await alice.ask("send", { roomID, type: "text", data: `${i}` });
    }
    for (const [position, of, want] of [
      [{ afterSequence: 1 }, (e) => e.data.sequence, [2, 3, 4, 5, 6]],
      [{ afterMessageSeq: 0 }, (e) => e.data.data, ["1", "2", "3", "4", "5"]],
      [{ beforeMessageSeq: 0 }, (e) => e.data.data, ["4", "5", "2", "3", "1"]],
    ]) {
      const seen = [];
      let nextFlag = "";
      do {
        const page = await t.back.ask("history", { roomID, instanceID, ...position, count: 2, sync: true, ...(nextFlag && { nextFlag }) });
        t.ok("a page has 1 or 2 events", [1, 2].includes(page.events.length), page.events.length);
        seen.push(...page.events.map(of));
        ({ nextFlag } = page);
      } while (nextFlag && seen.length < 10);
      t.equal(`page by page from ${JSON.stringify(position)}`, seen, want);
    }
  },

  async "kick and destroy answer with a position"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    const { instanceID } = await alice.ask("create", { roomID });
    await bob.ask("join", { roomID });
    const kicked = await t.back.ask("kick", { roomID, userIDs: [bob.userID], requestID: t.name("k") });
    t.like("kick", kicked, { instanceID, sequence: 3 });
    t.equal("the fact there", (await t.heard(roomID).at(kicked)).name, "member.left");
    t.equal("revision", kicked.revision, Number((await t.heard(roomID).at(kicked)).headers.get("Nats-Sequence")));
    t.like("kick again, with the same requestID", await t.back.ask("kick", { roomID, userIDs: [bob.userID], requestID: t.name("k") }), { instanceID, sequence: 3 });
    t.like("kick of nobody who is in", await t.back.ask("kick", { roomID, userIDs: ["nobody"] }), { instanceID, sequence: 3 });
    const { sequence, revision, ...more } = await t.back.ask("destroy", { roomID });
    t.equal("instanceID of destroy", more.instanceID, instanceID);
    const first = await t.heard(roomID).until("the fact at the position of destroy", () => t.heard(roomID).facts.find((e) => e.data.sequence === sequence));
    t.equal("revision", revision, Number(first.headers.get("Nats-Sequence")));
  },

  async "leaveAll says with nextFlag that rooms are left, and goes on when it is repeated"(t) {
    const alice = t.user("alice");
    const rooms = [];
    for (let i = 0; i < 1003; i++) rooms.push(t.name(`r${i}`));
    for (let i = 0; i < rooms.length; i += 100) await Promise.all(rooms.slice(i, i + 100).map((roomID) => alice.raw("enter", JSON.stringify(alice.body({ roomID })))));
    try {
      const first = await alice.ask("leaveAll");
      t.equal("the rooms that the first one left", first.roomIDList.length, 1000);
      t.ok("nextFlag of the first", first.nextFlag, first.nextFlag);
      const second = await alice.ask("leaveAll");
      t.equal("the second", [second.roomIDList.length, second.nextFlag ?? ""], [3, ""]);
      t.equal("all of them, each once", new Set([...first.roomIDList, ...second.roomIDList]).size, 1003);
    } finally {
      for (let left = 1; left; ) ({ length: left } = (await alice.ask("leaveAll")).roomIDList);
    }
  },

  async "ROOM_NOT_EXIST: every verb on a room that is not there, or is no more"(t) {
    const alice = t.user("alice");
    const [gone, other] = [await t.room(), await t.room("other")];
    await alice.ask("enter", { roomID: gone });
    await alice.ask("leave", { roomID: gone });
    await t.heard(gone).event("room.destroyed");
    for (const roomID of [gone, t.name("never")]) {
      for (const verb of verbs.filter((v) => required(v).includes("roomID") && !["create", "enter", "instances"].includes(v))) await alice.refused("ROOM_NOT_EXIST", verb, { roomID, ...rest[verb] });
      await alice.refused("ROOM_NOT_EXIST", "switch", { fromRoomID: roomID, toRoomInfo: { roomID: other }, isCreateWhenRoomNotExisted: true });
    }
    await t.back.refused("ROOM_NOT_EXIST", "get", { roomID: other });
  },

  async "time of events always has three digits of milliseconds"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const notices = await t.notices(alice);
    await alice.ask("create", { roomID });
    for (let i = 0; i < 60; i++) await Promise.all([alice.ask("send", { roomID, type: "text", data: `${i}` }), alice.ask("setAttributes", { roomID, set: { n: `${i}` } }), alice.ask("enter", { roomID })]);
    await alice.ask("send", { roomID, type: "text", data: "end" });
    await t.heard(roomID).event("message.sent", { data: "end" });
    for (const { name, time } of [...t.heard(roomID).events, ...notices.events]) t.ok(`time of ${name} has three digits after the point`, /T\d\d:\d\d:\d\d\.\d{3}Z$/.test(time), time);
  },

  async "a requestID belongs to one verb: another verb may use the same one"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await bob.ask("enter", { roomID });
    const requestID = nuid.next();
    const sequences = [];
    for (const [verb, body] of [["enter", {}], ["setAttributes", { set: { a: "1" } }], ["setMemberAttributes", { userIDs: [alice.userID], attributes: { a: "1" } }], ["leave", {}]]) {
      sequences.push((await alice.ask(verb, { roomID, requestID, ...body })).sequence);
    }
    t.equal("sequences", sequences, [2, 3, 4, 5]);
    const { messageID } = await bob.ask("send", { roomID, type: "text", data: "x", requestID });
    t.equal("messageID of a repeated send", (await bob.ask("send", { roomID, type: "text", data: "x", requestID })).messageID, messageID);
    t.equal("sequence of a leave with its requestID", (await bob.ask("leave", { roomID, requestID })).sequence, 6);
  },

  async "renew says of the rooms that it names where the session is no more, and why"(t) {
    const ids = ["here", "left", "kicked", "destroyed", "switched", "to"];
    const rooms = Object.fromEntries(await Promise.all(ids.map(async (of) => [of, await t.room(of)])));
    const [alice, bob] = t.users("alice", "bob");
    const named = [];
    for (const of of ids.slice(0, 5)) {
      await bob.ask("enter", { roomID: rooms[of] });
      const { instanceID } = await alice.ask("enter", { roomID: rooms[of] });
      named.push({ roomID: rooms[of], instanceID });
    }
    const left = await alice.ask("leave", { roomID: rooms.left });
    await t.back.ask("kick", { roomID: rooms.kicked, userIDs: [alice.userID], reason: "too loud" });
    await t.back.ask("destroy", { roomID: rooms.destroyed, reason: "closed" });
    await alice.ask("switch", { fromRoomID: rooms.switched, toRoomInfo: { roomID: rooms.to }, isCreateWhenRoomNotExisted: true });
    const reply = await alice.ask("renew", { rooms: named });
    t.equal("rooms, as ever", reply.rooms.map((r) => r.roomID).sort(), [rooms.here, rooms.to].sort());
    const of = (name) => reply.left.find((l) => l.roomID === rooms[name]);
    t.equal("left", reply.left.map((l) => l.roomID).sort(), ["left", "kicked", "destroyed", "switched"].map((n) => rooms[n]).sort());
    t.like("left: left", of("left"), { reason: "left", sequence: left.sequence, instanceID: left.instanceID });
    t.like("left: kicked", of("kicked"), { reason: "kicked", reasonText: "too loud" });
    t.like("left: destroyed", of("destroyed"), { reason: "destroyed", reasonText: "closed" });
    t.like("left: switched", of("switched"), { reason: "switched" });
    for (const name of ["left", "kicked", "switched"]) {
      const fact = await t.heard(rooms[name]).at(of(name));
      t.equal(`leftAt of ${name}`, of(name).leftAt, fact.data.memberList.find((m) => m.userID === alice.userID).leftAt);
    }
    t.equal("left without asking", (await alice.ask("renew")).left ?? [], []);
    const many = Array.from({ length: 101 }, (_, i) => ({ roomID: `r${i}`, instanceID: "x" }));
    await alice.refused("PARAM_INVALID", "renew", { rooms: many }, { field: "rooms", limit: 100, actual: 101 });
  },

  async "renew says of a room from which a ban put the session out that it is banned, and until when"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await bob.ask("enter", { roomID });
    const { instanceID } = await alice.ask("enter", { roomID });
    await t.back.ask("ban", { roomID, userIDs: [alice.userID], seconds: 3600, reason: "spam" });
    const { data } = await t.heard(roomID).event("room.access.changed");
    const { left, unknown = [] } = await alice.ask("renew", { rooms: [{ roomID, instanceID }] });
    t.like("left", left[0], { roomID, instanceID, reason: "kicked", reasonText: "spam", code: "BANNED", number: 7000007, until: data.bans[0].until });
    t.equal("unknown", unknown, []);
  },

  async "history of an instance that has ended names the next one"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const made = [];
    for (let i = 0; i < 3; i++) {
      made.push((await alice.ask("create", { roomID })).instanceID);
      if (i < 2) await t.back.ask("destroy", { roomID });
    }
    for (const position of [{ afterSequence: 0 }, { afterMessageSeq: 0 }]) {
      const next = [];
      for (const instanceID of made) next.push((await t.back.ask("history", { roomID, instanceID, ...position, sync: true })).nextInstanceID);
      t.equal(`nextInstanceID with ${Object.keys(position)}`, next, [made[1], made[2], undefined]);
    }
  },

  async "renew says of a room whose lease has ended that it expired"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await bob.ask("enter", { roomID });
    const { instanceID } = await alice.ask("enter", { roomID, leaseSeconds: 5 });
    const { data } = await t.heard(roomID).event("member.left", undefined, 12_000);
    const reply = await alice.ask("renew", { rooms: [{ roomID, instanceID }] });
    t.equal("rooms", reply.rooms, []);
    t.equal("left", reply.left, [{ roomID, instanceID, sequence: data.sequence, reason: "expired", leftAt: data.memberList[0].leftAt }]);
  },

  async "a message says in afterSequence which fact it comes after"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const { instanceID } = await alice.ask("create", { roomID });
    const want = [];
    for (let i = 1; i <= 5; i++) {
      for (const type of ["text", "barrage"]) await alice.ask("send", { roomID, type, data: `${type} ${i}` });
      want.push(i);
      await alice.ask("setAttributes", { roomID, set: { n: `${i}` } });
    }
    await t.heard(roomID).event("message.sent", { data: "barrage 5" });
    for (const type of ["text", "barrage"]) t.equal(`afterSequence of ${type} messages`, t.heard(roomID).messages.filter((m) => m.data.type === type).map((m) => m.data.afterSequence), want);
    t.equal("afterSequence in history", (await t.back.ask("history", { roomID, instanceID, afterMessageSeq: 0 })).events.map((m) => m.data.afterSequence), want);
  },

  async "enter by somebody who is in already does not say that it is connecting"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    await alice.ask("enter", { roomID });
    const notices = await t.notices(alice);
    await alice.ask("enter", { roomID });
    await alice.nc.flush();
    t.equal("notices that are not true", notices.told().filter((s) => !s.startsWith("connected")), []);
  },
};
