import assert from "node:assert/strict";
import { test } from "node:test";
import { file, Process, roomd, roomdWith } from "./harness.mjs";

const { url } = await roomd();
const node = (name, ...args) => new Process(process.execPath, [file(`examples/javascript/${name}`), ...args, "--server", url]);

test("two chats and a roster on the command line", async () => {
  const alice = node("chat.mjs", "create", "lobby", "alice");
  await alice.line("in the room: alice");
  const roster = node("roster.mjs", "lobby");
  await roster.line("1 in lobby: alice");
  const bob = node("chat.mjs", "join", "lobby", "bob");
  await bob.line("in the room: alice, bob");
  await alice.line("bob joined");
  await roster.line("2 in lobby: alice, bob");

  bob.child.stdin.write("hello \x1b[31malice\n");
  await alice.line("bob: hello \ufffd[31malice");
  bob.child.stdin.end();
  await bob.exit();
  await alice.line("bob left");
  alice.child.stdin.end();
  await alice.exit();
  await roster.line("there is no room lobby");
  assert.deepEqual([alice.code, bob.code], [0, 0]);
  roster.child.kill();
  await roster.exit();
});

test("users with passwords in the URL", async () => {
  const locked = await roomdWith(`authorization { users: [{ user: alice, password: "p@ss:word%" }, { user: backend, password: p }] }`);
  const program = (name, credentials, ...args) =>
    new Process(process.execPath, [file(`examples/javascript/${name}`), ...args, "--server", locked.url.replace("//", `//${credentials}@`)]);
  const roster = program("roster.mjs", "backend:p", "lobby");
  const alice = program("chat.mjs", `alice:${encodeURIComponent("p@ss:word%")}`, "enter", "lobby", "alice");
  await alice.line("in the room: alice");
  await roster.line("1 in lobby: alice");
  alice.child.stdin.end();
  await alice.exit();
  assert.equal(alice.code, 0);
  roster.child.kill();
  await roster.exit();
  const wrong = program("roster.mjs", "backend:secret", "lobby");
  await wrong.exit();
  assert.equal(wrong.code, 1);
  assert.doesNotMatch(wrong.toString(), /secret/);
});

test("a refusal is shown", async () => {
  const alice = node("chat.mjs", "join", "nowhere", "alice");
  await alice.exit();
  assert.equal(alice.code, 1);
  assert.match(alice.lines.join("\n"), /nowhere/);
});
