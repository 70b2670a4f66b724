// Whatever is lost on the way, a member ends up with everything that happened, once and in order.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { ask } from "../wire.mjs";
import { cable, connection, file, intercept, lose, Person, Process, roomd } from "./harness.mjs";

const service = await roomd();
const { url } = service;
const short = { leaseSeconds: 5 };

/** Compares what somebody has with what the service says. */
async function right(person, roomID) {
  const nc = await connection(url);
  const { memberList, instanceID } = await ask(nc, "", "members", { roomID, sync: true });
  const { room } = await ask(nc, "", "get", { roomID, sync: true });
  const sorted = (list) => [...list].sort((a, b) => a.userID.localeCompare(b.userID));
  assert.equal(person.room.instanceID, instanceID);
  assert.deepEqual(sorted(person.room.members.values()), sorted(memberList));
  assert.deepEqual(Object.fromEntries(person.room.attributes), room.attributes);
}

/** Counts somebody's renewals from now on. */
function renewing(person, nc) {
  const renewals = { sent: 0 };
  intercept(nc, "renew", (send) => {
    renewals.sent++;
    person.changed();
    return send();
  });
  return renewals;
}

describe("a member makes up for", { concurrency: true }, () => {
  test("a broken connection", async () => {
    const line = await cable(url);
    const alice = await Person.in(await connection(line.url), "broken", "alice");
    const bob = await Person.in(await connection(url), "broken", "bob");
    await alice.sees("alice bob");
    line.cut();
    const carol = await Person.in(await connection(url), "broken", "carol");
    await bob.room.command("setAttributes", { set: { topic: "tea" } });
    for (const text of ["one", "two"]) await carol.says(text);
    await bob.leave();
    line.mend();
    await alice.sees("alice carol");
    await alice.hears("one", "two");
    assert.deepEqual(alice.of("member.joined").map((d) => d.memberList[0].userID), ["bob", "carol"]);
    assert.deepEqual([alice.times, alice.of("member.left").length], [1, 1]);
    await right(alice, "broken");
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
    assert.deepEqual(alice.times, 1);
    await right(alice, "anew");
  });

  test("a third of all copies", async () => {
    const nc = await connection(url);
    let copies = 0;
    lose(nc, () => ++copies % 3 === 0);
    intercept(nc, "history", (send) => send({ count: 1 })); // many pages
    const alice = await Person.in(nc, "thirds", "alice", short);
    const others = await connection(url);
    await Person.in(others, "thirds", "host");
    const texts = [];
    for (let i = 0; i < 20; i++) {
      const guest = await Person.in(others, "thirds", `guest ${i}`);
      for (const text of [`${i} a`, `${i} b`]) texts.push(text) && (await guest.says(text));
      await guest.room.command("setAttributes", { set: { [`seat ${i % 4}`]: `${i}` }, isForce: true });
      if (i % 3) await guest.leave();
    }
    await alice.hears(...texts);
    await alice.until("everybody who went", () => alice.of("member.left").length === 13);
    const sequences = ["member.joined", "room.attributes.changed", "member.left"].flatMap((name) => alice.of(name)).map((d) => d.sequence);
    assert.deepEqual(sequences.sort((a, b) => a - b), Array.from(sequences, (_, i) => i + 2));
    assert.deepEqual([alice.times, alice.errors], [1, []]);
    await right(alice, "thirds");
  });

  for (const [what, act, seen] of [
    ["fact", (bob) => bob.leave(), (alice) => alice.sees("alice")],
    ["message", (bob) => bob.says("the last"), (alice) => alice.hears("the last")],
  ]) {
    test(`the last ${what}, and silence after it`, async () => {
      const nc = await connection(url);
      let deaf = false;
      lose(nc, () => deaf);
      const alice = await Person.in(nc, `last ${what}`, "alice", short);
      const bob = await Person.in(await connection(url), `last ${what}`, "bob");
      await alice.sees("alice bob");
      deaf = true;
      await act(bob);
      const renewals = renewing(alice, nc);
      await seen(alice);
      assert.equal(renewals.sent, 1);
      assert.deepEqual([alice.times, alice.errors], [1, []]);
      await right(alice, `last ${what}`);
    });
  }

  test("a room that was destroyed and made again", async () => {
    const nc = await connection(url);
    let deaf = false;
    lose(nc, () => deaf);
    const alice = await Person.in(nc, "remade", "alice");
    const gone = await Person.in(await connection(url), "remade", "gone");
    for (const value of ["1", "2", "3"]) await gone.room.command("setAttributes", { set: { value } });
    await alice.until("the value", () => alice.room.attributes.get("value") === "3");
    await alice.says("before");
    await alice.hears("before");
    deaf = true;
    const others = await connection(url);
    await ask(others, "", "destroy", { roomID: "remade" });
    await gone.until("the end", () => !gone.room.open);
    const bob = await Person.in(others, "remade", "bob");
    await bob.says("after, unheard");
    await ask(others, "alice", "enter", { roomID: "remade", sessionID: alice.sessionID });
    deaf = false;
    const renewals = renewing(alice, nc);
    const carol = await Person.in(others, "remade", "carol"); // the third fact, of another instance
    await alice.sees("alice bob carol");
    await alice.hears("before", "after, unheard");
    assert.equal(renewals.sent, 0);
    await carol.says("after");
    await alice.hears("before", "after, unheard", "after");
    assert.deepEqual([alice.times, alice.errors], [2, []]);
    await right(alice, "remade");
  });

  test("the end of the room", async () => {
    const nc = await connection(url);
    let deaf = false;
    lose(nc, () => deaf);
    const alice = await Person.in(nc, "ended", "alice", short);
    deaf = true;
    await ask(await connection(url), "", "destroy", { roomID: "ended" });
    await Person.in(await connection(url), "ended", "bob"); // another room, without alice
    const renewals = renewing(alice, nc);
    await alice.until("the end", () => !alice.room.open);
    assert.equal(renewals.sent, 1);
    assert.deepEqual(alice.errors, []);
  });

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
    const carol = await Person.in(await connection(url), "forgotten", "carol");
    await carol.says("hello");
    await alice.hears("hello");
    assert.deepEqual([alice.members, alice.times, alice.errors], ["alice bob carol", 2, []]);
    await right(alice, "forgotten");
  });

  test("an answer that does not arrive", async () => {
    const nc = await connection(url);
    lose(nc, (msg) => msg.string().includes("two"));
    const alice = await Person.in(nc, "unanswered", "alice", { leaseSeconds: 3600 });
    let failures = 0;
    intercept(nc, "history", (send) => (++failures === 1 ? Promise.reject(new Error("lost")) : send()));
    for (const text of ["one", "two", "three"]) await alice.says(text);
    await alice.hears("one", "two", "three");
    assert.deepEqual(alice.errors.map((err) => err.message), ["lost"]);
  });

  for (const [how, signal] of [["dies", "SIGKILL"], ["hangs", "SIGSTOP"]]) {
    test(`a process that ${how} leaves when its lease is over`, async () => {
      const room = `signal ${signal}`;
      const alice = await Person.in(await connection(url), room, "alice");
      const bob = new Process(process.execPath, [file("examples/javascript/chat.mjs"), "enter", room, "bob", "--lease", "5", "--server", url]);
      await alice.sees("alice bob");
      await bob.line("in the room");
      bob.child.kill(signal);
      await alice.sees("alice");
      const [{ memberList: [left] }] = alice.of("member.left");
      assert.equal(left.reason, "expired");
      const stay = Date.parse(left.leftAt) - Date.parse(left.joinedAt);
      assert.ok(stay > 4900 && stay < 10_000, `it stayed ${stay} ms`);
      if (signal === "SIGKILL") return bob.exit();
      bob.child.kill("SIGCONT");
      await bob.exit();
      assert.match(bob.lines.at(-1), /^(bob left|no longer in the room)$/);
    });
  }

  test("a process that dies leaves soon after its connection closes, however long its lease", async () => {
    const alice = await Person.in(await connection(url), "soon", "alice");
    const bob = new Process(process.execPath, [file("examples/javascript/chat.mjs"), "enter", "soon", "bob", "--lease", "3600", "--server", url]);
    await alice.sees("alice bob");
    bob.child.kill("SIGKILL");
    await alice.sees("alice");
    assert.equal(alice.of("member.left")[0].memberList[0].reason, "expired");
    await bob.exit();
  });

  test("a member who stays is not put out", async () => {
    const nc = await connection(url);
    const alice = await Person.in(nc, "stays", "alice", short);
    const renewals = renewing(alice, nc);
    await alice.until("more than a lease", () => renewals.sent === 5);
    const { memberList } = await ask(nc, "alice", "members", { roomID: "stays", sync: true });
    assert.deepEqual([alice.room.open, memberList.length], [true, 1]);
  });
});

test("roomd is killed and started again", async () => {
  const line = await cable(url);
  const alice = await Person.in(await connection(line.url), "killed", "alice");
  const bob = await Person.in(await connection(url), "killed", "bob");
  await bob.says("one");
  await alice.hears("one");
  line.cut();
  await service.kill("SIGKILL");
  assert.ok(await service.start());
  const carol = await Person.in(await connection(url), "killed", "carol");
  await carol.says("two");
  await bob.hears("one", "two");
  line.mend();
  await alice.sees("alice bob carol");
  await alice.hears("one", "two");
  await bob.says("three");
  for (const person of [alice, bob]) {
    await person.hears("one", "two", "three");
    assert.equal(person.times, 1);
    await right(person, "killed");
  }
});

test("the README shows the module as it is", async () => {
  const text = await readFile(file("examples/javascript/follow.mjs"), "utf8");
  const readme = await readFile(file("examples/javascript/README.md"), "utf8");
  const shown = [...readme.matchAll(/```js\n(.*?)```/gs)].map((m) => m[1]);
  assert.equal(shown.length, 6);
  for (const part of shown) assert.ok(text.includes(part), `not in follow.mjs:\n${part}`);
  const lines = text.trimEnd().split("\n").length;
  assert.ok(lines < 80 && readme.includes(`${lines} lines`), `${lines} lines`);
});
