import assert from "node:assert/strict";
import { test } from "node:test";
import { backEnd, connection, file, Person, Process, roomd, roomdWith } from "../../../clients/js/tests/harness.mjs";

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

for (const [how, signal] of [["dies", "SIGKILL"], ["hangs", "SIGSTOP"]]) {
  test(`a chat that ${how} leaves when its lease is over`, async () => {
    const room = `signal ${signal}`;
    const alice = await Person.in(await connection(url), room, "alice");
    const bob = node("chat.mjs", "enter", room, "bob", "--lease", "5");
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
    await alice.sees("alice bob"); // nobody put it out, so it comes back
    bob.child.stdin.end("back\n");
    await alice.hears("back");
    await bob.exit();
    assert.equal(bob.code, 0);
  });
}

test("a chat that dies leaves soon after its connection closes, however long its lease", async () => {
  const alice = await Person.in(await connection(url), "soon", "alice");
  const bob = node("chat.mjs", "enter", "soon", "bob", "--lease", "3600");
  await alice.sees("alice bob");
  bob.child.kill("SIGKILL");
  await alice.sees("alice");
  assert.equal(alice.of("member.left")[0].memberList[0].reason, "expired");
  await bob.exit();
});

test("a chat that is put out says why and ends", async () => {
  const alice = await Person.in(await connection(url), "strict", "alice");
  const bob = node("chat.mjs", "enter", "strict", "bob");
  await alice.sees("alice bob");
  await backEnd(await connection(url)).kick({ roomID: "strict", userIDs: ["bob"], reason: "too loud" });
  await bob.line("no longer in the room: too loud");
  await bob.exit();
  assert.equal(bob.code, 0);
});

test("lines that are typed while the service is away are sent when it is back", async () => {
  const service = await roomd();
  const bob = new Process(process.execPath, [file("examples/javascript/chat.mjs"), "enter", "away", "bob", "--server", service.url]);
  await bob.line("in the room");
  const alice = await Person.in(await connection(service.url), "away", "alice");
  await service.kill("SIGKILL");
  bob.child.stdin.write("one\n  \ntwo\n");
  assert.ok(await service.start());
  bob.child.stdin.end("three\n");
  await alice.hears("one", "two", "three");
  await bob.exit();
  assert.deepEqual([bob.code, bob.lines.filter((line) => line.startsWith("chat:"))], [0, []]);
});
