// Whatever is lost on the way, a client ends up with everything that happened, once and in order.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { Client, type } from "../src/index.js";
import { backEnd, cable, connection, inOrder, intercept, lose, Person, right, roomd } from "./harness.mjs";

const service = await roomd();
const { url } = service;

/** A connection that can be made deaf. */
async function deafening() {
  const nc = await connection(url);
  const ear = { nc, deaf: false };
  lose(nc, () => ear.deaf);
  return ear;
}

/** Counts the commands of one verb that are sent on nc from now on. */
function counted(nc, verb) {
  const calls = { sent: 0 };
  intercept(nc, verb, (send) => (calls.sent++, send()));
  return calls;
}

describe("a client makes up for", { concurrency: true }, () => {
  test("a broken connection", async () => {
    const line = await cable(url);
    const alice = await Person.in(await connection(line.url), "broken", "alice");
    const bob = await Person.in(await connection(url), "broken", "bob");
    await alice.sees("alice bob");
    line.cut();
    const carol = await Person.in(await connection(url), "broken", "carol");
    await bob.client.setAttributes({ roomID: "broken", set: { topic: "tea" } });
    for (const text of ["one", "two"]) await carol.says(text);
    await bob.leave();
    line.mend();
    await alice.sees("alice carol");
    await alice.hears("one", "two");
    inOrder(alice);
    assert.deepEqual([alice.fresh, alice.lost], [["start"], []]);
    await right(alice, url);
  });

  test("a connection that reconnects while much is said", async () => {
    const nc = await connection(url);
    const alice = await Person.in(nc, "anew", "alice");
    const bob = await Person.in(await connection(url), "anew", "bob");
    const texts = Array.from({ length: 60 }, (_, i) => `line ${i}`);
    for (const text of texts) {
      if (text.endsWith("0")) await nc.reconnect();
      await bob.says(text);
    }
    await alice.hears(...texts);
    await alice.sees("alice bob");
    assert.deepEqual([alice.fresh, alice.lost], [["start"], []]);
    await right(alice, url);
  });

  test("a third of all copies", async () => {
    const nc = await connection(url);
    let copies = 0;
    lose(nc, () => ++copies % 3 === 0);
    intercept(nc, "history", (send) => send({ count: 1 })); // many pages
    const alice = await Person.in(nc, "thirds", "alice", { leaseSeconds: 5 });
    const others = await connection(url);
    await Person.in(others, "thirds", "host");
    const texts = [];
    for (let i = 0; i < 20; i++) {
      const guest = await Person.in(others, "thirds", `guest ${i}`);
      for (const text of [`${i} a`, `${i} b`]) texts.push(text) && (await guest.says(text));
      await guest.client.setAttributes({ roomID: "thirds", set: { [`seat ${i % 4}`]: `${i}` }, isForce: true });
      if (i % 3) await guest.leave();
    }
    await alice.hears(...texts);
    await alice.until("everybody who went", () => alice.of("member.left").length === 13);
    inOrder(alice);
    assert.deepEqual([alice.fresh, alice.lost], [["start"], []]);
    await right(alice, url);
  });

  for (const [what, act, seen] of [
    ["fact", (bob) => bob.leave(), (alice) => alice.sees("alice")],
    ["message", (bob) => bob.says("the last"), (alice) => alice.hears("the last")],
  ]) {
    test(`the last ${what}, and silence after it: a renewal tells`, async () => {
      const ear = await deafening();
      const alice = await Person.in(ear.nc, `last ${what}`, "alice", { leaseSeconds: 5 });
      const bob = await Person.in(await connection(url), `last ${what}`, "bob");
      await alice.sees("alice bob");
      ear.deaf = true;
      const renewals = counted(ear.nc, "renew");
      await act(bob);
      await seen(alice);
      assert.equal(renewals.sent, 1);
      assert.deepEqual([alice.fresh, alice.lost], [["start"], []]);
      await right(alice, url);
    });
  }

  test("the last fact, for a back end, which has no renewals", async () => {
    const ear = await deafening();
    const alice = await Person.in(await connection(url), "watched", "alice");
    const client = backEnd(ear.nc);
    const watch = client.watch({ roomID: "watched", every: 500 });
    assert.equal((await watch.next()).value.roster.size, 1);
    ear.deaf = true;
    await alice.leave();
    const recovered = [];
    let value;
    do ({ value } = await watch.next()), value.fact && recovered.push([value.recovered, value.fact.type]);
    while (value.roster);
    assert.deepEqual(recovered, [[true, type("member.left")], [true, type("room.destroyed")]]); // the room is gone, but not its past
    client.close();
    assert.equal((await watch.next()).done, true);
  });

  test("a room that was destroyed and made again", async () => {
    const ear = await deafening();
    const alice = await Person.in(ear.nc, "remade", "alice");
    const gone = await Person.in(await connection(url), "remade", "gone");
    for (const value of ["1", "2", "3"]) await gone.client.setAttributes({ roomID: "remade", set: { value } });
    await alice.until("the value", () => alice.roster.room.attributes.value === "3");
    await alice.says("before");
    await alice.hears("before");
    const first = alice.roster.instanceID;
    ear.deaf = true;
    const others = await connection(url);
    await backEnd(others).destroy({ roomID: "remade" });
    const bob = await Person.in(others, "remade", "bob");
    await bob.says("after, unheard");
    await new Client(others, { userID: "alice", sessionID: alice.sessionID }).enter({ roomID: "remade" });
    ear.deaf = false;
    const carol = await Person.in(others, "remade", "carol");
    await alice.sees("alice bob carol");
    await carol.says("after");
    await alice.hears("before", "after, unheard", "after");
    assert.notEqual(alice.roster.instanceID, first);
    assert.deepEqual(alice.fresh, ["start", "instance"]);
    await right(alice, url);
  });

  for (const heard of [false, true]) {
    test(`a whole room between two, the end of the one before it ${heard ? "heard" : "missed"}`, async () => {
      const ear = await deafening();
      const others = await connection(url);
      const roomID = `between ${heard}`;
      const bob = new Client(others, { userID: "bob" });
      after(() => bob.close());
      const made = async (text) => {
        await bob.enter({ roomID });
        await bob.send({ roomID, type: "text", data: text });
      };
      await made("one");
      const lost = [], said = [], seen = [];
      const client = backEnd(ear.nc);
      after(() => client.close());
      const messages = client.messages({ roomID, afterMessageSeq: 0, every: 300, lost: (n) => lost.push(n) });
      const watch = client.watch({ roomID, every: 300 });
      const step = async () => {
        const { value } = await watch.next();
        seen.push([value.fresh ?? "", value.fact?.type.split(".").slice(2, -1).join(".") ?? "", value.roster?.size ?? "none"].join(" ").trim());
      };
      const hear = async () => said.push((await messages.next()).value.data.data);
      await step();
      await hear();
      const end = async () => {
        await backEnd(others).destroy({ roomID });
        const { room } = await backEnd(others).get({ roomID, sync: true }).catch((err) => ({ room: err.code }));
        assert.equal(room, "ROOM_NOT_EXIST");
      };
      ear.deaf = !heard;
      await end();
      if (heard) for (let i = 0; i < 2; i++) await step();
      ear.deaf = true;
      await made("middle");
      await end();
      await made("three");
      ear.deaf = false;
      for (let i = 0; i < 2; i++) await hear();
      while (seen.length < 7) await step();
      assert.deepEqual([said, lost], [["one", "middle", "three"], []]);
      assert.deepEqual(seen, [
        "start  1", "member.left 0", "room.destroyed none", "instance room.created 1", "member.left 0", "room.destroyed none", "instance  1",
      ]);
    });
  }

  test("facts that are no longer kept", async () => {
    const nc = await connection(url);
    let lost = 0;
    lose(nc, (msg) => msg.string().includes('"userID":"bob"') && ++lost === 1);
    intercept(nc, "history", async (send) => {
      const reply = await send();
      return { json: () => ({ ...reply.json(), ...(lost && { complete: false }) }) };
    });
    const alice = await Person.in(nc, "forgotten", "alice");
    await Person.in(await connection(url), "forgotten", "bob");
    await Person.in(await connection(url), "forgotten", "carol");
    await alice.sees("alice bob carol");
    assert.deepEqual(alice.fresh, ["start", "gap"]);
    await right(alice, url);
  });

  test("messages that are no longer kept, and says so once", async () => {
    const ear = await deafening();
    let discarded = false;
    const calls = { sent: 0, changed: () => {} };
    intercept(ear.nc, "history", async (send) => {
      const page = (await send()).json();
      calls.sent++;
      setImmediate(() => calls.changed());
      if (discarded && page.messageSeq) Object.assign(page, { complete: false, events: page.events.slice(1) });
      return { json: () => page };
    });
    const alice = await Person.in(ear.nc, "discarded", "alice");
    const bob = await Person.in(await connection(url), "discarded", "bob");
    calls.changed = () => alice.changed();
    const { messageSeq } = await bob.says("one");
    await alice.hears("one");
    ear.deaf = discarded = true;
    await bob.says("two");
    for (let n = 0; n < 2; n++) {
      const asked = calls.sent;
      await alice.client.check();
      await alice.until("a look", () => calls.sent > asked);
    }
    await bob.says("three");
    ear.deaf = false;
    await bob.says("four");
    await alice.hears("one", "three", "four");
    assert.deepEqual(alice.lost, [messageSeq]);
  });

  test("an answer that does not arrive", async () => {
    const nc = await connection(url);
    lose(nc, (msg) => msg.string().includes("two"));
    const alice = await Person.in(nc, "unanswered", "alice", { leaseSeconds: 3600 });
    let failures = 0;
    intercept(nc, "history", (send) => (++failures === 1 ? Promise.reject(new Error("lost")) : send()));
    for (const text of ["one", "two", "three"]) await alice.says(text);
    await alice.hears("one", "two", "three");
    assert.ok(failures > 1);
  });
});

test("messages of a name that had some before: only those from now on, and none is called lost", async () => {
  const others = await connection(url);
  const old = await Person.in(others, "used", "old");
  await old.says("of another room");
  await old.leave();
  const client = backEnd(await connection(url));
  const lost = [];
  const messages = client.messages({ roomID: "used", mayNotExist: true, lost: (after) => lost.push(after) });
  await messages.ready;
  const again = await Person.in(others, "used", "new");
  await again.says("one");
  assert.equal((await messages.next()).value.data.data, "one");
  await again.leave();
  const third = await Person.in(others, "used", "new");
  await third.says("two");
  assert.equal((await messages.next()).value.data.data, "two");
  assert.deepEqual(lost, []);
  client.close();
});

test("a message of a room that ended before it could be asked about is no loss", async () => {
  const nc = await connection(url);
  const old = await Person.in(nc, "swift", "old");
  await old.says("of another room");
  await old.leave();
  const deafTo = await connection(url);
  intercept(deafTo, "history", (send) => send({ roomID: "nowhere" })); // as if it were gone
  const client = backEnd(deafTo);
  const lost = [];
  const messages = client.messages({ roomID: "swift", mayNotExist: true, lost: (after) => lost.push(after) });
  await messages.ready;
  await (await Person.in(nc, "swift", "new")).says("one");
  assert.equal((await messages.next()).value.data.data, "one");
  assert.deepEqual(lost, []);
  client.close();
});

test("the rooms between two that ended, which could not be looked through", async () => {
  const nc = await connection(url);
  const client = backEnd(nc);
  let cut = false;
  intercept(nc, "history", async (send) => {
    const page = (await send()).json();
    if (cut && page.messageSeq === undefined) Object.assign(page, { complete: false, nextInstanceID: undefined, events: [] });
    return { json: () => page };
  });
  const others = await connection(url);
  const old = await Person.in(others, "between", "old");
  const lost = [];
  const messages = client.messages({ roomID: "between", every: 300, lost: (after) => lost.push(after) });
  await messages.ready;
  const { messageSeq } = await old.says("one");
  assert.equal((await messages.next()).value.data.data, "one");
  cut = true;
  await old.leave();
  const next = await Person.in(others, "between", "new");
  await next.says("two");
  assert.equal((await messages.next()).value.data.data, "two");
  assert.deepEqual(lost, [messageSeq]);
  client.close();
});

test("a room to come", async () => {
  const client = backEnd(await connection(url));
  assert.deepEqual(await client.watch({ roomID: "later" }).next().catch((err) => [err.code, err.outcome]), ["ROOM_NOT_EXIST", "none"]);
  const watch = client.watch({ roomID: "later", mayNotExist: true });
  assert.equal((await watch.next()).value.roster, undefined);
  await backEnd(await connection(url)).create({ roomID: "later" });
  const { value } = await watch.next();
  assert.deepEqual([value.fresh, value.fact.type], ["instance", "io.natsrooms.room.created.v1"]);
  const { room } = await client.get({ roomID: "later", sync: true });
  assert.deepEqual(value.roster.room, room);
  client.close();
});

test("the newest messages, and then the others", async () => {
  const nc = await connection(url);
  const alice = await Person.in(nc, "late", "alice");
  const texts = Array.from({ length: 25 }, (_, i) => `line ${i}`);
  for (const text of texts) await alice.says(text);
  const bob = await Person.in(await connection(url), "late", "bob", { last: 20 });
  await alice.says("bob?");
  await bob.hears(...texts.slice(-20), "bob?");
  const client = backEnd(nc);
  const all = [];
  for await (const event of client.messages({ roomID: "late", afterMessageSeq: 0 })) if (all.push(event.data.data) === 26) break;
  assert.deepEqual(all, [...texts, "bob?"]);
});

/** Makes pages of one member each on nc, and does something before one of them is asked for. */
function paged(nc, number, before) {
  const pages = { asked: 0 };
  intercept(nc, "members", async (send) => {
    if (++pages.asked === number) await before();
    return send({ count: 1 });
  });
  return pages;
}

test("members that change between pages", async () => {
  const others = await connection(url);
  const people = [];
  for (const user of ["amy", "ben", "cleo", "dan", "eve"]) people.push(await Person.in(others, "pages", user));
  const nc = await connection(url);
  const pages = paged(nc, 3, async () => {
    await people[0].leave();
    await people[4].leave();
    await people[1].client.setMemberAttributes({ roomID: "pages", userIDs: ["ben"], attributes: { level: "9" } });
    await Person.in(others, "pages", "fay");
  });
  const alice = await Person.in(nc, "pages", "alice");
  await alice.sees("alice ben cleo dan fay");
  assert.ok(pages.asked > 4);
  assert.deepEqual([alice.facts, alice.fresh], [[], ["start"]]);
  await right(alice, url);
});

test("a room that ends and begins between pages", async () => {
  const others = await connection(url);
  const amy = await Person.in(others, "brief", "amy");
  const again = new Client(others, { userID: "alice", sessionID: "one" });
  const nc = await connection(url);
  paged(nc, 2, async () => {
    await amy.leave();
    await again.leave({ roomID: "brief" });
    await Person.in(others, "brief", "ben");
    await Person.in(others, "brief", "cleo");
    await again.join({ roomID: "brief" });
  });
  const alice = await Person.in(nc, "brief", "alice", { sessionID: "one" });
  await alice.sees("alice ben cleo");
  await right(alice, url);
});

test("roomd is killed and started again", async () => {
  const line = await cable(url);
  const alice = await Person.in(await connection(line.url), "killed", "alice");
  const bob = await Person.in(await connection(url), "killed", "bob");
  await bob.says("one");
  await alice.hears("one");
  line.cut();
  await service.kill("SIGKILL");
  const two = bob.says("two"); // while nobody is there
  assert.ok(await service.start());
  await two;
  const carol = await Person.in(await connection(url), "killed", "carol");
  await carol.says("three");
  await bob.hears("one", "two", "three");
  line.mend();
  await alice.sees("alice bob carol");
  await bob.says("four");
  for (const person of [alice, bob]) {
    await person.hears("one", "two", "three", "four");
    assert.deepEqual([person.fresh, person.lost], [["start"], []]);
    await right(person, url);
  }
});
