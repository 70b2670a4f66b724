// End users with tokens hear rooms on feeds, or on an open room's subject, and miss nothing either.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ask, token } from "../wire.mjs";
import { connection, file, intercept, lose, Person, Process, roomdWithTokens } from "./harness.mjs";

const { url, dir, tokenOf } = await roomdWithTokens();
const userOf = async (user) => connection(url, { token: await tokenOf(user), inboxPrefix: `_INBOX_${token(user)}` });
const backEnd = async () => connection(url, { token: await tokenOf("back end", "--admin") });

/** Notes what is heard of rooms, and on which subjects. */
function subjects(nc) {
  const heard = new Set();
  lose(nc, (msg) => void (msg.subject.startsWith("room.state.") || heard.add(msg.subject)));
  return heard;
}

describe("end users", { concurrency: true }, () => {
  for (const [delivery, subject] of [["members", "room.feed.alice.members"], ["open", "room.open.open"]]) {
    test(`a room whose delivery is ${delivery}`, async () => {
      await ask(await backEnd(), "", "create", { roomID: delivery, config: { delivery } });
      const nc = await userOf("alice");
      const heard = subjects(nc);
      let deaf = false;
      let lost = 0;
      lose(nc, (msg) => deaf || (/two|"userID":"bob"/.test(msg.string()) && ++lost > 0));
      const alice = await Person.in(nc, delivery, "alice", { leaseSeconds: 5 });
      const bob = await Person.in(await userOf("bob"), delivery, "bob");
      for (const text of ["one", "two", "three"]) await bob.says(text);
      await alice.hears("one", "two", "three");
      const carol = await Person.in(await userOf("carol"), delivery, "carol");
      await alice.sees("alice bob carol");
      assert.ok(lost >= 2);
      assert.deepEqual([...heard], [subject]);

      deaf = true;
      await carol.leave();
      await bob.says("the last");
      let renewals = 0;
      intercept(nc, "renew", (send) => (renewals++, send()));
      await alice.sees("alice bob");
      await alice.hears("one", "two", "three", "the last");
      assert.equal(renewals, 1);
      deaf = false;

      await nc.reconnect();
      await bob.says("and on");
      await alice.hears("one", "two", "three", "the last", "and on");
      await ask(await backEnd(), "", "kick", { roomID: delivery, userIDs: ["alice"] });
      await alice.until("the end", () => !alice.room.open);
      await bob.sees("bob");
      assert.equal(alice.times, 1);
    });
  }

  test("chats with tokens", async () => {
    const chats = [];
    for (const user of ["alice", "bob"]) {
      const secret = join(dir, user);
      await writeFile(secret, await tokenOf(user));
      chats.push(new Process(process.execPath, [file("examples/javascript/chat.mjs"), "enter", "chat", user, "--server", url, "--token", secret]));
      await chats.at(-1).line("in the room:");
    }
    const [alice, bob] = chats;
    const secret = join(dir, "back end");
    await writeFile(secret, await tokenOf("back end", "--admin"));
    const roster = new Process(process.execPath, [file("examples/javascript/roster.mjs"), "chat", "--server", url, "--token", secret]);
    await roster.line("2 in chat: alice, bob");
    roster.child.kill();
    await roster.exit();
    bob.child.stdin.end("hello\n");
    await alice.line("bob: hello");
    await alice.line("bob left");
    alice.child.stdin.end();
    await alice.exit();
    assert.deepEqual([alice.code, await bob.exit() && bob.code], [0, 0]);
  });
});
