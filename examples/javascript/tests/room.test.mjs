import assert from "node:assert/strict";
import { test } from "node:test";
import { nuid } from "@nats-io/nats-core";
import { ask } from "../wire.mjs";
import { connection, lose, Person, roomd } from "./harness.mjs";

const { url } = await roomd();

test("create, join, send, leave", async () => {
  const alice = await Person.in(await connection(url), "lobby", "alice", { verb: "create" });
  assert.equal(alice.members, "alice");
  const bob = await Person.in(await connection(url), "lobby", "bob", { verb: "join" });
  assert.equal(bob.members, "alice bob");
  await alice.sees("alice bob");

  await bob.says("hello");
  await alice.says("hello <b>bob</b>");
  for (const person of [alice, bob]) {
    await person.hears("hello", "hello <b>bob</b>");
    const [first, second] = person.of("message.sent");
    assert.deepEqual([first.senderUserID, first.type, second.senderUserID], ["bob", "text", "alice"]);
    assert.equal(first.instanceID, person.room.instanceID);
  }

  await bob.leave();
  assert.equal(bob.room.open, false);
  await alice.sees("alice");
  const [left] = alice.of("member.left");
  assert.deepEqual([left.memberList[0].userID, left.memberList[0].reason], ["bob", "left"]);
  await assert.rejects(bob.says("still there?"), { code: "USER_NOT_IN_ROOM" });
  await alice.leave();
  assert.deepEqual([alice.errors, bob.errors], [[], []]);
});

test("a refused user is not in the room", async () => {
  const nc = await connection(url);
  await assert.rejects(Person.in(nc, "nowhere", "alice", { verb: "join" }), { code: "ROOM_NOT_EXIST" });
  const alice = await Person.in(nc, "taken", "alice");
  await assert.rejects(Person.in(nc, "taken", "bob", { verb: "create" }), { code: "ROOM_ALREADY_EXISTS" });
  assert.equal(alice.members, "alice");
});

test("two devices are one member", async () => {
  const nc = await connection(url);
  const phone = await Person.in(nc, "devices", "alice");
  const laptop = await Person.in(nc, "devices", "alice");
  const sessions = (n) => phone.until(`${n} sessions`, () => phone.room.members.get("alice").sessions.length === n);
  await sessions(2);
  assert.equal(phone.members, "alice");
  await laptop.leave();
  await sessions(1);
  assert.equal(phone.room.open, true);
  await phone.until("notices", () => phone.of("user.state.changed").some((n) => n.sessionID === laptop.sessionID && n.state === "disconnected"));
});

test("a session that is taken out hears about it", async () => {
  const nc = await connection(url);
  const alice = await Person.in(nc, "door", "alice");
  const bob = await Person.in(nc, "door", "bob");
  await ask(nc, "bob", "leaveAll", { sessionID: bob.sessionID });
  await bob.until("the end", () => !bob.room.open);
  await alice.sees("alice");
});

test("a kicked user is out, and so is everybody when the room is destroyed", async () => {
  const nc = await connection(url);
  const alice = await Person.in(nc, "strict", "alice");
  const bob = await Person.in(nc, "strict", "bob");
  await ask(nc, "", "kick", { roomID: "strict", userIDs: ["bob"], reason: "too loud" });
  await bob.until("the end", () => !bob.room.open);
  assert.equal(bob.of("member.left")[0].memberList[0].reason, "kicked");
  await alice.sees("alice");
  await ask(nc, "", "destroy", { roomID: "strict" });
  await alice.until("the end", () => !alice.room.open);
  assert.deepEqual([alice.errors, bob.errors], [[], []]);
});

test("a fact that did not arrive is read from history", async () => {
  const nc = await connection(url);
  let lost = 0;
  lose(nc, (msg) => msg.subject === "room.evt.holes" && msg.string().includes('"userID":"bob"') && ++lost > 0);
  const alice = await Person.in(nc, "holes", "alice");
  const others = await connection(url);
  await Person.in(others, "holes", "bob");
  const carol = await Person.in(others, "holes", "carol");
  await alice.sees("alice bob carol");
  assert.equal(lost, 1);
  assert.deepEqual(alice.of("member.joined").map((d) => [d.sequence, d.memberList[0].userID]), [[2, "bob"], [3, "carol"]]);
  assert.deepEqual(alice.room.members.get("bob"), carol.room.members.get("bob"));
  assert.deepEqual([alice.times, alice.errors], [1, []]);
});

test("a message that did not arrive is read from history", async () => {
  const nc = await connection(url);
  let lost = 0;
  lose(nc, (msg) => msg.subject === "room.msg.holes2" && msg.string().includes("two") && ++lost > 0);
  const alice = await Person.in(nc, "holes2", "alice");
  const bob = await Person.in(await connection(url), "holes2", "bob");
  for (const text of ["one", "two", "three"]) await bob.says(text);
  await alice.hears("one", "two", "three");
  assert.equal(lost, 1);
  assert.deepEqual(alice.errors, []);
});

test("a user who joins later reads the last messages, once", async () => {
  const nc = await connection(url);
  const alice = await Person.in(nc, "late", "alice");
  const texts = Array.from({ length: 25 }, (_, i) => `line ${i}`);
  for (const text of texts) await alice.says(text);
  const bob = await Person.in(await connection(url), "late", "bob");
  await alice.says("bob?");
  await bob.hears(...texts.slice(-20), "bob?");
});

test("an instance that may not know the room yet is asked for its past as of the join", async () => {
  const nc = await connection(url);
  const request = nc.request.bind(nc);
  const asked = [];
  nc.request = (subject, body, options) => {
    if (subject.startsWith("room.cmd.history.")) asked.push(JSON.parse(body));
    return request(subject, body, options);
  };
  await Person.in(nc, "fresh", "alice");
  const { revision } = await ask(nc, "", "get", { roomID: "fresh", sync: true });
  assert.equal(asked[0].minRevision, revision);
});

test("messages in two directions at once arrive everywhere in the same order", async () => {
  const people = await Promise.all(["amy", "ben", "cleo"].map(async (user) => Person.in(await connection(url), "talk", user)));
  const said = people.flatMap((p, who) => Array.from({ length: 20 }, (_, i) => p.says(`${who}.${i}`)));
  const order = (await Promise.all(said)).map((reply, i) => [reply.messageSeq, `${Math.floor(i / 20)}.${i % 20}`]).sort(([a], [b]) => a - b);
  for (const person of people) {
    await person.hears(...order.map(([, text]) => text));
    assert.deepEqual(person.errors, []);
  }
});

test("attributes of members", async () => {
  const nc = await connection(url);
  const alice = await Person.in(nc, "colours", "alice");
  const bob = await Person.in(nc, "colours", "bob");
  await bob.room.command("setMemberAttributes", { userIDs: ["bob"], attributes: { colour: "blue" } });
  await bob.room.command("setMemberAttributes", { userIDs: ["bob"], attributes: { mood: "good" } });
  const both = { colour: "blue", mood: "good" };
  await alice.until("attributes", () => JSON.stringify(alice.room.members.get("bob")?.attributes) === JSON.stringify(both));
  const { memberList } = await ask(nc, "alice", "members", { roomID: "colours", sync: true });
  assert.deepEqual([...alice.room.members.values()], memberList);
});

test("attributes of the room, and those kept for an absent member", async () => {
  const nc = await connection(url);
  const alice = await Person.in(nc, "seats", "alice");
  const bob = await Person.in(await connection(url), "seats", "bob");
  await bob.room.command("setAttributes", { set: { seat: "bob" }, isDeleteAfterOwnerLeft: true });
  await bob.room.command("setMemberAttributes", { userIDs: ["bob"], attributes: { level: "9" }, isDeleteAfterOwnerLeft: false });
  await alice.room.command("setAttributes", { set: { topic: "tea", "__proto__x": "y" }, delete: ["none"] });
  await alice.until("attributes", () => alice.room.attributes.get("topic") === "tea" && alice.room.attributes.get("seat") === "bob");
  await bob.leave();
  await alice.until("a free seat", () => !alice.room.attributes.has("seat"));
  const again = await Person.in(await connection(url), "seats", "bob");
  await alice.sees("alice bob");
  assert.deepEqual(alice.room.members.get("bob").attributes, { level: "9" });
  const { room } = await ask(nc, "alice", "get", { roomID: "seats", sync: true });
  for (const person of [alice, again]) assert.deepEqual(Object.fromEntries(person.room.attributes), room.attributes);
});

test("the newest fact and message, if lost, are found by asking", async () => {
  const nc = await connection(url);
  let deaf = false;
  lose(nc, () => deaf);
  const alice = await Person.in(nc, "heads", "alice");
  const bob = await Person.in(await connection(url), "heads", "bob");
  await alice.sees("alice bob");
  deaf = true;
  await Person.in(await connection(url), "heads", "carol");
  await bob.says("psst");
  await bob.leave();
  assert.equal(alice.members, "alice bob");
  await alice.room.check();
  assert.equal(alice.members, "alice carol");
  await alice.hears("psst");
  assert.deepEqual(alice.errors, []);
});

test("a connection that was broken makes up for what it missed", async () => {
  const nc = await connection(url);
  let deaf = false;
  lose(nc, () => deaf);
  const alice = await Person.in(nc, "breaks", "alice");
  deaf = true;
  await Person.in(await connection(url), "breaks", "bob");
  deaf = false;
  assert.equal(alice.members, "alice");
  await nc.reconnect();
  await alice.sees("alice bob");
});

test("another room of the same name starts with its own members", async () => {
  const nc = await connection(url);
  let deaf = false;
  lose(nc, () => deaf);
  const alice = await Person.in(nc, "again", "alice");
  const first = alice.room.instanceID;
  deaf = true;
  await ask(nc, "alice", "leave", { roomID: "again", sessionID: alice.sessionID }); // the last one; the room ends
  const bob = await Person.in(await connection(url), "again", "bob");
  await ask(nc, "alice", "join", { roomID: "again", sessionID: alice.sessionID });
  await bob.sees("alice bob");
  assert.equal(alice.members, "alice");
  await alice.room.check();
  assert.equal(alice.members, "alice bob");
  assert.notEqual(alice.room.instanceID, first);
  assert.equal(alice.room.instanceID, bob.room.instanceID);
});

test("the loss of a room is found by asking", async () => {
  const nc = await connection(url);
  let deaf = false;
  lose(nc, () => deaf);
  const alice = await Person.in(nc, "lost", "alice");
  deaf = true;
  await ask(nc, "alice", "leave", { roomID: "lost", sessionID: alice.sessionID });
  assert.equal(alice.room.open, true);
  await alice.room.check();
  assert.equal(alice.room.open, false);
});

/** Makes pages of one member each on nc, and does something before one of them is asked for. */
function paged(nc, number, before) {
  const request = nc.request.bind(nc);
  let page = 0;
  nc.request = async (subject, body, options) => {
    if (!subject.startsWith("room.cmd.members.")) return request(subject, body, options);
    if (++page === number) await before();
    return request(subject, JSON.stringify({ ...JSON.parse(body), count: 1 }), options);
  };
  return () => page;
}

test("members that change between pages", async () => {
  const others = await connection(url);
  const people = [];
  for (const user of ["amy", "ben", "cleo", "dan", "eve"]) people.push(await Person.in(others, "pages", user));
  const nc = await connection(url);
  const pages = paged(nc, 3, async () => {
    await people[0].leave();
    await people[4].leave();
    await Person.in(others, "pages", "fay");
  });
  const alice = await Person.in(nc, "pages", "alice");
  await alice.sees("alice ben cleo dan fay");
  assert.ok(pages() > 4);
  const { memberList } = await ask(others, "", "members", { roomID: "pages", sync: true });
  const byUser = (a, b) => a.userID.localeCompare(b.userID);
  assert.deepEqual([...alice.room.members.values()].sort(byUser), memberList.sort(byUser));
});

test("a room that ends and begins between pages", async () => {
  const others = await connection(url);
  const amy = await Person.in(others, "brief", "amy");
  const nc = await connection(url);
  const sessionID = nuid.next();
  paged(nc, 2, async () => {
    await amy.leave();
    await ask(others, "alice", "leave", { roomID: "brief", sessionID });
    await Person.in(others, "brief", "ben");
    await Person.in(others, "brief", "cleo");
    await ask(others, "alice", "join", { roomID: "brief", sessionID });
  });
  const alice = await Person.in(nc, "brief", "alice", { sessionID });
  assert.equal(alice.members, "alice ben cleo");
  assert.deepEqual([alice.times, alice.errors], [1, []]);
});
