// What a client knows of its own session: joining, devices, leases, and why it is out.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { Client } from "../src/index.js";
import { backEnd, beside, cable, connection, intercept, lose, Person, right, roomd } from "./harness.mjs";

const { url } = await roomd();
const notices = (person) => person.notices.map((n) => `${n.state} ${n.event}`);

/** Notices are not heard on nc, so that renewals have to tell. */
const noNotices = (nc) => lose(nc, (msg) => msg.subject.startsWith("room.state."));

test("create, join, send, leave", async () => {
  const alice = await Person.in(await connection(url), "lobby", "alice", { verb: "create" });
  const bob = await Person.in(await connection(url), "lobby", "bob", { verb: "join" });
  await alice.sees("alice bob");
  await bob.says("hello");
  await alice.says("hello <b>bob</b>");
  for (const person of [alice, bob]) {
    await person.hears("hello", "hello <b>bob</b>");
    const [first, second] = person.said.map((m) => m.data);
    assert.deepEqual([first.senderUserID, first.type, second.senderUserID], ["bob", "text", "alice"]);
    assert.ok(first.messageSeq < second.messageSeq);
  }
  await bob.leave();
  await alice.sees("alice");
  const [left] = alice.of("member.left");
  assert.deepEqual([left.memberList[0].userID, left.memberList[0].reason], ["bob", "left"]);
  await assert.rejects(bob.says("still there?"), { code: "USER_NOT_IN_ROOM" });
  assert.deepEqual(notices(bob), ["connecting activeEnter", "connected success", "disconnected success"]);
  assert.equal(bob.notices.at(-1).comeBack, false);
});

test("a refused user is not in the room", async () => {
  const nc = await connection(url);
  await assert.rejects(Person.in(nc, "nowhere", "alice", { verb: "join" }), { code: "ROOM_NOT_EXIST" });
  const alice = await Person.in(nc, "taken", "alice");
  await assert.rejects(Person.in(nc, "taken", "bob", { verb: "create" }), { code: "ROOM_ALREADY_EXISTS" });
  assert.equal(alice.members, "alice");
});

test("a switch", async () => {
  const nc = await connection(url);
  const alice = await Person.in(nc, "from", "alice");
  const host = await Person.in(nc, "from", "host");
  await alice.client.switch({ fromRoomID: "from", toRoomInfo: { roomID: "to" }, isCreateWhenRoomNotExisted: true });
  await host.sees("host");
  assert.equal(host.of("member.left")[0].memberList[0].toRoomID, "to");
  const { rooms } = await alice.client.check().then(() => alice.client.renew());
  assert.deepEqual(rooms.map((r) => r.roomID), ["to"]);
});

test("commands that are called at once take effect in their order, at three instances too", async () => {
  const { url } = await roomd();
  await Promise.all([beside(url), beside(url)]);
  const nc = await connection(url);
  const asked = new Map(); // how many commands each instance took
  const request = nc.request.bind(nc);
  let [open, most] = [0, 0];
  nc.request = async (...args) => {
    most = Math.max(most, ++open);
    return request(...args).finally(() => open--);
  };
  const alice = new Client(nc, { userID: "alice" });
  after(() => alice.close());
  for (let round = 0; round < 100; round++) {
    const roomID = `hall ${round % 5}`;
    const outcomes = await Promise.allSettled([
      alice.enter({ roomID }),
      alice.send({ roomID, type: "text", data: `hello ${round}` }),
      alice.leave({ roomID }),
    ]);
    assert.deepEqual(outcomes.map((o) => o.reason?.code), [undefined, undefined, undefined]);
  }
  assert.equal(most, 1);
  for await (const info of await nc.requestMany("$SRV.STATS.rooms", "", { maxMessages: 3, maxWait: 5000 })) {
    const { id, endpoints } = info.json();
    asked.set(id, endpoints.reduce((n, e) => n + e.num_requests, 0));
  }
  assert.equal(asked.size, 3);
  assert.ok([...asked.values()].every((n) => n > 0), `${[...asked]}`);
});

test("clients that name no session are two devices of one member", async () => {
  const nc = await connection(url);
  const phone = await Person.in(nc, "devices", "alice");
  const laptop = await Person.in(nc, "devices", "alice");
  assert.notEqual(phone.sessionID, laptop.sessionID);
  const sessions = (n) => phone.until(`${n} sessions`, () => phone.roster.get("alice").sessions.length === n);
  await sessions(2);
  assert.equal(phone.members, "alice");
  await laptop.leave();
  await sessions(1);
  await phone.says("still here");
  await right(phone, url);
  assert.deepEqual(notices(phone), ["connecting activeEnter", "connected success"]);
});

test("attributes of the room, and those kept for an absent member", async () => {
  const nc = await connection(url);
  const alice = await Person.in(nc, "seats", "alice");
  const bob = await Person.in(await connection(url), "seats", "bob");
  await bob.client.setAttributes({ roomID: "seats", set: { seat: "bob" }, isDeleteAfterOwnerLeft: true });
  await bob.client.setMemberAttributes({ roomID: "seats", userIDs: ["bob"], attributes: { level: "9" }, isDeleteAfterOwnerLeft: false });
  await alice.client.setAttributes({ roomID: "seats", set: { topic: "tea", __proto__x: "y" }, delete: ["none"] });
  await backEnd(nc).setAccess({ roomID: "seats", access: "listed", allow: ["bob"] });
  const attributes = () => alice.roster.room.attributes;
  await alice.until("attributes", () => attributes().topic === "tea" && attributes().seat === "bob");
  await bob.leave();
  await alice.until("a free seat", () => attributes().seat === undefined);
  const again = await Person.in(await connection(url), "seats", "bob");
  await alice.sees("alice bob");
  assert.deepEqual(alice.roster.get("bob").attributes, { level: "9" });
  for (const person of [alice, again]) await right(person, url);
});

test("an empty room that waits for its end is described as the service does", async () => {
  const client = backEnd(await connection(url));
  const watch = client.watch({ roomID: "waits", mayNotExist: true });
  await watch.next();
  await client.create({ roomID: "waits", config: { roomDestroyDelayTime: 60 } });
  const same = async () => {
    const { value } = await watch.next();
    const { room } = await client.get({ roomID: "waits", sync: true });
    assert.deepEqual(value.roster.room, room);
    return Boolean(room.destroyAt);
  };
  const found = [await same()];
  await client.enter({ roomID: "waits", userID: "alice" });
  found.push(await same());
  await client.leave({ roomID: "waits", userID: "alice", sessionID: client.sessionID });
  found.push(await same());
  assert.deepEqual(found, [true, false, true]);
  client.close();
});

describe("why a session is out", { concurrency: true }, () => {
  const causes = {
    kicked: { act: (service, roomID) => service.kick({ roomID, userIDs: ["alice"], reason: "too loud" }), told: "kickedOut", text: "too loud" },
    destroyed: { act: (service, roomID) => service.destroy({ roomID, reason: "over" }), told: "roomNotExist" },
  };
  for (const [reason, { act, told, text }] of Object.entries(causes)) {
    test(`${reason}, heard live`, async () => {
      const alice = await Person.in(await connection(url), `${reason} live`, "alice");
      await Person.in(await connection(url), `${reason} live`, "host");
      await act(backEnd(await connection(url)), `${reason} live`);
      const notice = await alice.told(`disconnected ${told}`);
      assert.deepEqual([notice.comeBack, text && notice.reasonText], [false, text]);
    });
  }

  // What a renewal says of the rooms in which the session is not any more.
  for (const [reason, told, comeBack] of [
    ["kicked", "kickedOut", false], ["destroyed", "roomNotExist", false], ["expired", "connectTimeout", true],
    ["replaced", "kickedOutByOtherDevice", false], ["left", "success", false], ["a reason to come", "kickedOut", false],
  ]) {
    test(`${reason}, told by a renewal`, async () => {
      const nc = await connection(url);
      noNotices(nc);
      const asked = [];
      intercept(nc, "renew", async (send) => {
        let rooms;
        const reply = (await send({ toJSON() { return (rooms = this.rooms, this); } })).json();
        const stay = alice.position;
        asked.push(rooms);
        return { json: () => ({ ...reply, left: [{ roomID: alice.roomID, instanceID: stay.instanceID, sequence: 7, reason, reasonText: "because", leftAt: "" }] }) };
      });
      const alice = await Person.in(nc, `told ${reason}`, "alice");
      await Person.in(await connection(url), `told ${reason}`, "host");
      await backEnd(await connection(url)).kick({ roomID: `told ${reason}`, userIDs: ["alice"] });
      await alice.client.check();
      const notice = await alice.told(`disconnected ${told}`);
      assert.deepEqual([notice.comeBack, notice.reasonText, notice.sequence], [comeBack, "because", 7]);
      await alice.client.check();
      assert.equal(notices(alice).filter((n) => n.startsWith("disconnected")).length, 1);
    });
  }

  for (const [seconds, what] of [[3600, "a ban that ends"], [undefined, "a ban"]]) {
    test(`${what}, told by a renewal`, async () => {
      const nc = await connection(url);
      noNotices(nc);
      const alice = await Person.in(nc, what, "alice");
      await Person.in(await connection(url), what, "host");
      await backEnd(await connection(url)).ban({ roomID: what, userIDs: ["alice"], reason: "spam", ...(seconds && { seconds }) });
      await alice.client.check();
      const { error: { code, number, until }, reasonText, comeBack } = await alice.told("disconnected kickedOut");
      assert.deepEqual([code, number, reasonText, comeBack], ["BANNED", 7000007, "spam", false]);
      assert.equal(seconds !== undefined, Date.parse(until) > Date.now() + 3_000_000);
    });
  }

  test("a service that does not say why is asked about the room", async () => {
    const nc = await connection(url);
    noNotices(nc);
    intercept(nc, "renew", async (send) => {
      const { left, ...reply } = (await send()).json();
      return { json: () => reply };
    });
    for (const [roomID, act, told] of [["older kick", causes.kicked.act, "connectTimeout"], ["older end", causes.destroyed.act, "roomNotExist"]]) {
      const alice = await Person.in(nc, roomID, "alice");
      await Person.in(await connection(url), roomID, "host");
      await act(backEnd(await connection(url)), roomID);
      await alice.client.check();
      assert.equal((await alice.told(`disconnected ${told}`)).comeBack, false); // it is only a guess
    }
  });

  test("another device took over", async () => {
    const strict = await roomd("--devices", "replace");
    const phone = await Person.in(await connection(strict.url), "one", "alice");
    await Person.in(await connection(strict.url), "one", "alice");
    assert.equal((await phone.told("disconnected kickedOutByOtherDevice")).comeBack, false);
  });

  test("the connection breaks and comes back", async () => {
    const line = await cable(url);
    const alice = await Person.in(await connection(line.url), "breaks", "alice");
    line.cut();
    await alice.told("connecting networkInterrupted");
    line.mend();
    await alice.until("its return", () => notices(alice).at(-1) === "connected success" && alice.notices.length > 3);
    const broken = notices(alice).slice(2, 4);
    assert.deepEqual(broken, ["connecting networkInterrupted", "connecting networkInterrupted"]);
    await alice.sees("alice");
  });

  test("put out while its connection was broken", async () => {
    const line = await cable(url);
    const alice = await Person.in(await connection(line.url), "absent", "alice");
    await Person.in(await connection(url), "absent", "host");
    line.cut();
    await alice.told("connecting networkInterrupted");
    await backEnd(await connection(url)).kick({ roomID: "absent", userIDs: ["alice"] });
    line.mend();
    const out = await alice.until("its end", () => alice.notices.find((n) => n.state === "disconnected"));
    assert.equal(out.comeBack, false);
  });
});
