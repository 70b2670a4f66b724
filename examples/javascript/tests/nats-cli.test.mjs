// Runs the page about the `nats` command line: the lines that listen while the others act.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { dirname, delimiter } from "node:path";
import { after, test } from "node:test";
import { file, Process, roomd } from "../../../clients/js/tests/harness.mjs";

const { url } = await roomd();
const env = { ...process.env, NATS_URL: url, PATH: dirname(file("bin/nats")) + delimiter + process.env.PATH };

function shell(script) {
  const run = new Process("sh", ["-ec", script], { env, detached: true });
  after(() => {
    if (run.code === undefined) process.kill(-run.child.pid);
    return run.exit();
  });
  return run;
}

test("the page's commands do what it says", async () => {
  const page = await readFile(file("examples/nats-cli.md"), "utf8");
  const lines = (kind) => [...page.matchAll(new RegExp("```" + kind + "\n(.*?)```", "gs"))].flatMap((m) => m[1].trim().split("\n"));

  const listening = lines("console").filter((line) => /^nats (sub|kv watch) /.test(line)).map(shell);
  const [refused] = lines("console").filter((line) => line.startsWith("nats request ")).map(shell);
  assert.equal(listening.length, 3);
  const [room, alice, roster] = listening;
  await room.line("Subscribing");
  await alice.line("Subscribing");

  const acting = shell(lines("sh").join("\n"));
  await acting.exit();
  assert.equal(acting.code, 0, `${acting}`);
  const output = acting.lines.join("\n");
  assert.doesNotMatch(output, /"error"/);
  assert.equal(output.match(/"complete":true/g)?.length, 2, output);

  await room.line('"data":"hello alice"');
  await room.line("io.natsrooms.member.left.v1");
  await alice.line('"event":"success"');
  await roster.line("lobby.alice");
  await refused.line("Nats-Service-Error: ROOM_NOT_EXIST");
});
