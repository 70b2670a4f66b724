// Who runs a room does so from a client of its own, and everybody's roster says who that is.

import assert from "node:assert/strict";
import { test } from "node:test";
import { backEnd, connection, inOrder, lose, Person, right, roomd } from "./harness.mjs";

const { url } = await roomd();

/** A room that alice made, with her and others in it. */
async function hosted(roomID, nc, ...others) {
  const trusted = backEnd(await connection(url));
  const first = { roomID, userID: "alice", sessionID: "first" };
  await trusted.create({ ...first, config: { hosts: "creator", roomDestroyDelayTime: 60 } });
  const people = [await Person.in(nc, roomID, "alice")];
  await trusted.leave(first);
  for (const user of others) people.push(await Person.in(await connection(url), roomID, user));
  return { trusted, people };
}

const roles = (person) => person.roster.members().map((m) => `${m.userName || m.userID} ${m.role ?? "member"}`).join();

test("roles, names and the room's configuration follow every change, though every other copy is lost", async () => {
  const nc = await connection(url);
  let copies = -Infinity;
  lose(nc, (msg) => msg.subject.startsWith("room.evt.") && !/"roomName":"flush/.test(msg.string()) && ++copies % 2 === 0);
  const { trusted, people: [alice, bob] } = await hosted("roles", nc, "bob");
  await alice.sees("alice bob");
  copies = 0;
  const at = { roomID: "roles" };
  for (const [act, want] of [
    [() => alice.client.setRole({ ...at, userIDs: ["bob"], role: "host" }), "alice host,bob host"],
    [() => bob.client.updateMember({ ...at, userName: "Bob", userInfo: { n: 1 } }), "alice host,Bob host"],
    [() => bob.client.update({ ...at, roomName: "Roles", config: { hosts: "none", speakers: "hosts" } }), "alice member,Bob host"],
    [() => trusted.update({ ...at, config: { hosts: "creator" } }), "alice host,Bob host"],
    [() => alice.client.setAccess({ ...at, access: "listed", allow: ["bob"] }), "alice host,Bob host"],
    [() => alice.client.setAccess({ ...at, access: "open", allow: [] }), "alice host,Bob host"],
    [() => alice.client.setRole({ ...at, userIDs: ["bob"], role: "member" }), "alice host,Bob member"],
    [() => trusted.setRole({ ...at, userIDs: ["alice"], role: "member" }), "alice member,Bob member"],
    [() => trusted.update({ ...at, config: { hosts: "none", maxMembers: 7 } }), "alice member,Bob member"],
  ]) {
    await act();
    const { sequence } = await trusted.update({ ...at, roomName: `flush ${copies}` }); // shows what was lost
    await alice.until(want, () => alice.roster.sequence === sequence);
    assert.equal(roles(alice), want);
    await right(alice, url);
  }
  inOrder(alice);
  assert.ok(copies > 5);
  assert.deepEqual(alice.fresh, ["start"]);
  assert.equal(alice.of("member.updated").length, 4);
});

test("a room whose creator nobody has been asked about, and a role that is there from the first fact on", async () => {
  const trusted = backEnd(await connection(url));
  const watch = trusted.watch({ roomID: "born", mayNotExist: true });
  await watch.next();
  await trusted.create({ roomID: "born", userID: "alice", config: { hosts: "creator" } });
  const { value } = await watch.next();
  assert.deepEqual(value.roster.members().map((m) => m.role), ["host"]);
  trusted.close();
});

test("who is muted or banned is told why, and until when", async () => {
  const { people: [alice, bob] } = await hosted("rules", await connection(url), "bob");
  const at = { roomID: "rules", userIDs: ["bob"] };
  await assert.rejects(bob.client.mute({ ...at, userIDs: ["alice"] }), { code: "NOT_ALLOWED", outcome: "none" });
  const { until } = await alice.client.mute({ ...at, seconds: 600, reason: "too loud" });
  await assert.rejects(bob.says("hello"), { code: "MUTED", until, outcome: "none" });
  await alice.client.unmute(at);
  await bob.says("hello");
  const ban = await alice.client.ban({ ...at, seconds: 600, reason: "spam" });
  const told = await bob.told("disconnected kickedOut");
  assert.deepEqual([told.reasonText, told.error, told.comeBack], ["spam", { code: "BANNED", number: 7000007, until: ban.until }, false]);
  await assert.rejects(bob.client.enter({ roomID: "rules" }), { code: "BANNED", until: ban.until });
  await alice.until("a ban", () => alice.of("room.access.changed").some((d) => d.bans));
  assert.deepEqual((await alice.client.get({ roomID: "rules", sync: true })).bans, [{ userID: "bob", until: ban.until, reason: "spam" }]);
  await alice.client.unban(at);
  await bob.client.enter({ roomID: "rules" });
});
