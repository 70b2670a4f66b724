// End users with tokens, on the command line.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { file, Process, roomdWithTokens } from "../../../clients/js/tests/harness.mjs";

const { url, dir, tokenOf } = await roomdWithTokens();

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
