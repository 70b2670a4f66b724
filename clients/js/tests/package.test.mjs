// The package as npm makes it, in a program of somebody else.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { roomd } from "./harness.mjs";

const run = promisify(execFile);
const here = fileURLToPath(new URL("..", import.meta.url));

test("packed, installed in an empty folder, and used", { timeout: 110_000 }, async () => {
  const { url } = await roomd();
  const dir = await mkdtemp(join(tmpdir(), "natsrooms-package-"));
  after(() => rm(dir, { recursive: true, force: true }));
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", dir], { cwd: here });
  const [{ filename, files }] = Object.values(JSON.parse(stdout));
  const names = files.map((f) => f.path);
  assert.ok(names.includes("index.d.ts") && names.includes("README.md") && !names.some((n) => n.startsWith("tests/")), names.join());

  const { devDependencies } = JSON.parse(await readFile(join(here, "package.json")));
  await writeFile(join(dir, "package.json"), JSON.stringify({ type: "module" }));
  await run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", `./${filename}`, `@nats-io/transport-node@${devDependencies["@nats-io/transport-node"]}`], { cwd: dir });
  await writeFile(join(dir, "chat.mjs"), `
    import { connect } from "@nats-io/transport-node";
    import { Client, connectOptions } from "natsrooms";
    const nc = await connect(connectOptions(${JSON.stringify(url)}, { userID: "alice" }));
    const alice = new Client(nc, { userID: "alice" });
    await alice.enter({ roomID: "lobby" });
    const messages = alice.messages({ roomID: "lobby" });
    await messages.ready;
    await alice.send({ roomID: "lobby", type: "text", data: "hello" });
    for await (const { data } of messages) {
      console.log(data.senderUserID + ": " + data.data);
      break;
    }
    for await (const { roster } of alice.watch({ roomID: "lobby" })) {
      console.log(roster.members().map((m) => m.userID).join());
      break;
    }
    await alice.leave({ roomID: "lobby" });
    alice.close();
    await nc.close();
  `);
  const chat = await run(process.execPath, ["chat.mjs"], { cwd: dir });
  assert.equal(chat.stdout, "alice: hello\nalice\n");
});
