// Runs the checks against the roomd of this repository: one that trusts everybody, one with
// tokens, and one with small limits. make conform builds it first.

import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { report } from "./lib/report.mjs";

const bin = (name) => fileURLToPath(new URL(`../../../bin/${name}`, import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "conform-"));
const running = [];

/** Starts a roomd with a server of its own; gives its URL. */
export async function roomd(name, ...flags) {
  const child = spawn(bin("roomd"), ["--port", "-1", "--store-dir", join(dir, name), "--sync", "2m", "--log-level", "error", ...flags], { stdio: ["ignore", "pipe", "pipe"] });
  running.push(child);
  let said = "";
  child.stderr.on("data", (data) => (said += data));
  for await (const line of createInterface({ input: child.stdout })) if (line.startsWith("ready ")) return line.split(" ")[1];
  throw new Error(`${bin("roomd")} did not start: ${said}`);
}

/** Starts one with tokens; gives the options to reach it. */
export async function withTokens(...flags) {
  const key = join(dir, "key");
  writeFileSync(key, randomBytes(48).toString("base64"), { mode: 0o600 });
  const token = (user, ...more) => execFileSync(bin("roomctl"), ["token", "--key", key, "--sub", user, ...more], { encoding: "utf8" }).trim();
  const tokenFile = join(dir, "token");
  writeFileSync(tokenFile, token("back end", "--admin"), { mode: 0o600 });
  const users = [
    { userID: "al.ice", token: token("al.ice", "--rooms", "the-green-room"), rooms: ["the-green-room"] },
    { userID: "bob", token: token("bob") },
  ];
  return { server: await roomd("tokens", "--auth", "jwt", "--auth-key", key, "--limit", "user-commands=100000,user-changes=100000,user-connections=1000", "--auth-names", "own", "--ids", "any", ...flags), tokenFile, users };
}

/** Starts one whose limits are small. */
export const withSmallLimits = (name = "small") => roomd(name, "--max-rooms", "8", "--max-rooms-per-user", "3", "--message-rate", "5", "--devices", "replace");

/** Ends every roomd that was started. */
export async function end() {
  await Promise.all(running.map((child) => child.exitCode === null && child.signalCode === null && (child.kill(), once(child, "exit"))));
  rmSync(dir, { recursive: true, force: true });
}

/** Runs the checks against all three. Gives the exit code. */
async function all() {
  const grace = ["--grace", "1s"];
  const [trusting, tokens, small] = await Promise.all([
    roomd("trusting", ...grace),
    withTokens(...grace),
    withSmallLimits(),
  ]);
  const codes = [];
  const runs = [["roomd", { server: trusting, grace: 1, one: true }], ["roomd --auth jwt", { ...tokens, grace: 1, one: true }], ["roomd with small limits", { server: small, small: true }]];
  await Promise.all(runs.map(async ([name, options]) => {
    const lines = [];
    codes.push(await report(options, (line) => lines.push(line)));
    console.log(`\n=== ${name}\n${lines.join("\n")}`);
  }));
  return Math.max(...codes);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    process.exitCode = await all();
  } finally {
    await end();
  }
}
