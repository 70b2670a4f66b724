import assert from "node:assert/strict";
import { test } from "node:test";
import { roster } from "../roster.mjs";
import { backEnd, connection, Person, roomd } from "../../../clients/js/tests/harness.mjs";

const { url } = await roomd();

/** The roster from the bucket, when it has got as far as the members that the service answers. */
async function same(nc, watch, roomID) {
  const { memberList, sequence, instanceID } = await backEnd(nc).members({ roomID, sync: true });
  for (;;) {
    const { value: { room, members } } = await watch.next();
    assert.equal(members.length, room?.memberCount ?? 0);
    assert.ok(members.every((m) => m.revision <= room.revision));
    if (room?.instanceID !== instanceID || room.sequence < sequence) continue;
    const plain = members.map(({ instanceID, revision, order, ...member }) => member);
    const byUser = (a, b) => a.userID.localeCompare(b.userID);
    assert.deepEqual(plain.sort(byUser), memberList.sort(byUser));
    return members.map((m) => m.userID);
  }
}

test("the roster is what the command members returns", { timeout: 30_000 }, async () => {
  const nc = await connection(url);
  const people = [];
  for (const user of ["zoe", "a.b", "mia"]) people.push(await Person.in(nc, "a room.", user));
  const watch = roster(nc, "a room.");
  assert.deepEqual(await same(nc, watch, "a room."), ["zoe", "a.b", "mia"]); // oldest first
  await people[1].leave();
  await Person.in(nc, "a room.", "zoe"); // a second device
  await Person.in(nc, "a room.", "last");
  assert.deepEqual(await same(nc, watch, "a room."), ["zoe", "mia", "last"]);
  const fresh = roster(nc, "a room.");
  assert.deepEqual(await same(nc, fresh, "a room."), ["zoe", "mia", "last"]);
});

test("a room that has ended has no roster, and the next one of its name has its own", { timeout: 30_000 }, async () => {
  const nc = await connection(url);
  const watch = roster(nc, "short");
  const alice = await Person.in(nc, "short", "alice");
  assert.deepEqual(await same(nc, watch, "short"), ["alice"]);
  await alice.leave();
  for (;;) {
    const { value: { room, members } } = await watch.next();
    if (!room) {
      assert.deepEqual(members, []);
      break;
    }
  }
  await Person.in(nc, "short", "bob");
  assert.deepEqual(await same(nc, watch, "short"), ["bob"]);
});

test("many join and leave, and every roster shown is one that existed", { timeout: 30_000 }, async () => {
  const nc = await connection(url);
  await Person.in(nc, "busy", "host");
  const watch = roster(nc, "busy");
  await watch.next();
  await Promise.all(Array.from({ length: 60 }, async (_, i) => {
    const guest = await Person.in(nc, "busy", `guest-${i}`);
    if (i % 2) await guest.leave();
  }));
  assert.equal((await same(nc, watch, "busy")).length, 31);
});
