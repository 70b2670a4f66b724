// What README says about a chat in five minutes, done by somebody who has just cloned the
// repository and types what is there, on ports that are free.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { file, freePort, Process } from "../../../clients/js/tests/harness.mjs";

const minutes = 5;

// A terminal's commands may take as long as all of it, on a machine that has much else to do.
const patience = 30 * 60_000;
const run = promisify(execFile);

/** The commands under a heading of README, block by block. */
const blocks = (readme, heading) => {
  const [, part] = readme.split(`\n## ${heading}\n`);
  return [...part.split(/\n##+ /)[0].matchAll(/```(?:sh|console)\n(.*?)```/gs)].map((m) => m[1]);
};

/** How many times slower than alone a program is now, tried all the time until the test is over. */
function slowness(t) {
  const code = "for (;;) { const from = process.hrtime.bigint(), cpu = process.cpuUsage(); for (let i = 0; i < 3e7; i++); " +
    "const used = process.cpuUsage(cpu); console.log(Number(process.hrtime.bigint() - from) / 1000 / (used.user + used.system)); " +
    "await new Promise((go) => setTimeout(go, 2000)); }";
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill());
  let text = "";
  child.stdout.on("data", (part) => (text += part));
  return () => {
    child.kill();
    const tries = text.trim().split("\n").map(Number).filter((n) => n > 0).sort((a, b) => a - b);
    return Math.max(1, tries[tries.length >> 1] ?? 1); // half of the time
  };
}

test("a chat in five minutes, as README says", { timeout: 2 * patience }, async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "natsrooms-start-"));
  const terminals = [];
  t.after(async () => {
    for (const { child } of terminals) if (child.exitCode === null) try { process.kill(-child.pid, "SIGTERM"); } catch { /* it has just ended */ }
    await Promise.all(terminals.map((each) => each.ended));
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  });
  const [port, ws, page, http, receiver] = [await freePort(), await freePort(), await freePort(), await freePort(), await freePort()];
  const env = {
    ...process.env, PAGE_PORT: page, NATS_URL: `nats://127.0.0.1:${port}`, ROOMCTL_SERVER: `nats://127.0.0.1:${port}`,
    ROOMD_PORT: port, ROOMD_HTTP: `:${http}`, ROOMD_WEBSOCKET: `:${ws}`, ROOMD_WEBSOCKET_ORIGINS: `http://127.0.0.1:${page}`,
  };
  const slow = slowness(t);
  const began = Date.now();
  const clone = join(dir, "natsrooms");
  await run("git", ["clone", "--quiet", file("."), clone]);

  const readme = await readFile(join(clone, "README.md"), "utf8");
  const ports = (text) => text.replace("127.0.0.1:8000", `127.0.0.1:${page}`).replace("127.0.0.1:8080", `127.0.0.1:${receiver}`).replace("127.0.0.1:4281", `127.0.0.1:${http}`);
  const [service, enter, watch, serve, go, answer, ...more] = blocks(readme, "A chat in five minutes");
  assert.deepEqual(more, []);
  assert.ok(readme.includes("\n```console\n" + service), "the first command is another one");

  /** Types a block in a new terminal. */
  const type = (block) => {
    const terminal = new Process("bash", ["-e", "-c", block], { cwd: clone, env, detached: true, stdio: ["pipe", "pipe", "pipe"] });
    terminal.ended = new Promise((ended) => terminal.child.once("close", ended));
    terminals.push(terminal);
    return terminal;
  };
  const says = async (terminal, what) => {
    const end = Date.now() + patience;
    for (;;) { // the harness waits for seconds, and this compiles
      const found = await terminal.until(what, () => terminal.code !== undefined || terminal.lines.find((line) => what.test(line))).catch((err) => Date.now() > end && Promise.reject(err));
      if (found && found !== true) return found;
      assert.equal(terminal.code, undefined, `${what} is not said: ${terminal}`);
    }
  };
  const ends = async (terminal) => {
    await terminal.ended;
    assert.equal(terminal.code, 0, `${terminal}`);
  };

  const first = type(service);
  await says(first, /^ready /);
  await ends(type(enter));
  const alice = type(watch);
  await says(alice, /watching lobby/);
  const serving = type(serve);
  await says(serving, new RegExp(`http://127\\.0\\.0\\.1:${page}/`));

  const address = ports(readme.match(/http:\/\/127\.0\.0\.1:8000/)[0]);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  t.after(() => browser.close());
  const bob = await browser.newPage();
  bob.setDefaultTimeout(patience);
  await bob.goto(`${address}/?server=ws://127.0.0.1:${ws}`);
  await bob.getByLabel("Your name").fill("bob");
  await bob.getByRole("button", { name: "Enter" }).click();
  await bob.locator("#members").getByText("alice").waitFor();

  const carol = type(go);
  await says(carol, /in the room/);
  carol.child.stdin.write("hello from Go\n");
  await bob.getByText("hello from Go").waitFor();
  await bob.getByLabel("Message").fill("hello from the page");
  await bob.getByRole("button", { name: "Send" }).click();
  await says(carol, /^bob: hello from the page$/);
  await ends(type(answer));
  await says(carol, /^alice: hello$/);
  await bob.locator("#talk li").filter({ hasText: /hello$/ }).waitFor();
  for (const line of [/bob/, /carol/, /carol: hello from Go/, /bob: hello from the page/, /alice: hello$/]) await says(alice, line);
  const took = (Date.now() - began) / 60_000;
  const slower = slow();
  t.diagnostic(`it took ${took.toFixed(1)} minutes on a machine that was ${slower.toFixed(1)} times slower than it is alone`);
  assert.ok(took <= minutes * slower, `it took ${took.toFixed(1)} minutes, while programs here took ${slower.toFixed(1)} times as long as alone`);

  carol.child.stdin.end();
  await ends(carol);
  await says(alice, /carol.*left|left.*carol/);

  // The service starts again, with a webhook; bob is kicked in the inspector.
  const under = (heading) => blocks(readme.replace(`\n### ${heading}`, `\n## ${heading}`), heading);
  const [hooked, receive, attendance, ...others] = under("See it, and tell other programs");
  assert.deepEqual(others, []);
  process.kill(-first.child.pid, "SIGINT");
  await first.ended;
  await says(type(ports(hooked)), /^ready /);
  const told = type(receive.replace(/\n$/, ` --listen 127.0.0.1:${receiver}\n`));
  const inspector = await browser.newPage();
  inspector.setDefaultTimeout(patience);
  await inspector.goto(ports(readme.match(/http:\/\/127\.0\.0\.1:4281/)[0]));
  await inspector.getByRole("link", { name: "lobby" }).click();
  await inspector.getByRole("option", { name: /bob/ }).click();
  await inspector.getByRole("button", { name: "Kick…" }).click();
  await inspector.getByRole("button", { name: "Kick", exact: true }).click();
  await inspector.getByRole("option", { name: /bob/ }).waitFor({ state: "detached" });
  await says(told, /lobby .*member\.left.*bob.*kicked/);
  const stays = type(attendance);
  await ends(stays);
  assert.match(stays.lines.join("\n"), /^alice .*\nbob .* kicked\ncarol .* left$/m);

  // What comes next, too.
  for (const block of under("What next").filter((block) => block.startsWith("bin/"))) await ends(type(block));
});
