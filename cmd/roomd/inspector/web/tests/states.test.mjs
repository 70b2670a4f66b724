// What a page shows when not all is well: webhooks that fail, tokens that are refused, a roomd that
// is not ready, and what cannot be drawn.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { promisify } from "node:util";
import { file, freePort, Process } from "../../../../../clients/js/tests/harness.mjs";
import { look, patience } from "./page.mjs";
import { Caller, inspected, secret } from "./world.mjs";

const run = promisify(execFile);
const dir = await mkdtemp(join(tmpdir(), "natsrooms-states-"));
after(() => rm(dir, { recursive: true, force: true }));

/** Does what a page shows as the same from a terminal. */
const byShell = (line) => run("sh", ["-c", line.replace(/^\S*roomctl/, `'${file("bin/roomctl")}'`)]);

// An application that takes webhooks as it likes.
const app = {
  answer: () => ({ status: 200 }),
  async open() {
    const server = createServer((q, out) => {
      q.resume();
      const { status, headers = {} } = this.answer(q);
      out.writeHead(status, headers).end("an answer's body");
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    after(() => {
      server.close();
      server.closeAllConnections();
    });
    this.host = `127.0.0.1:${server.address().port}`;
    const signed = await secret(`whsec_${randomBytes(32).toString("base64")}\n`);
    this.secret = signed.text.trim();
    return ["--webhook", `app=http://${this.host}/hook?token=hush`, "--webhook", `quiet=http://${this.host}/quiet`, "--webhook-secret", signed.file, "--webhook-private"];
  },
};

const webhooks = await app.open();
const service = await inspected({ flags: webhooks });
const caller = await Caller.to(service.url);

const row = (tab, name) => tab.region("Webhooks").getByRole("row", { name: new RegExp(`^${name}`) });

look("webhooks: how each is, and what becomes of dead letters", () => service.page, async (tab, t) => {
  const { page } = tab;
  await tab.go("#/service");
  await row(tab, "app").getByText("delivering").waitFor();
  await row(tab, "quiet").getByText("delivering").waitFor();
  await tab.accessible("webhooks that deliver");

  app.answer = (q) => ({ status: q.url.startsWith("/hook") ? 410 : 200 });
  for (const roomID of ["lobby", "hall", "park"]) await caller.ask("create", { roomID, userID: "alice" });
  await row(tab, "app").getByText("failing").waitFor();
  await row(tab, "app").getByText("the receiver answered 410: gone").last().waitFor();
  await page.getByRole("img", { name: /^Webhook quiet a second, now: delivered/ }).waitFor();
  await row(tab, "app").getByRole("button", { name: "3 dead letters of app" }).waitFor();
  await row(tab, "quiet").getByText("delivering").waitFor(); // the other one is none the worse for it
  await tab.accessible("a webhook that fails");
  for (const hidden of ["hush", app.secret, "an answer's body"]) assert.ok(!(await page.content()).includes(hidden), `the page has ${hidden}`);

  // By keyboard alone: the letters, and one of them is dropped.
  await page.evaluate(() => document.activeElement.blur());
  for (let i = 0; await page.evaluate(() => document.activeElement.getAttribute("aria-label") !== "3 dead letters of app"); i++) {
    assert.ok(i < 60, "Tab does not lead to the dead letters");
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Enter");
  const letters = tab.dialog("Dead letters of app");
  await letters.getByRole("link", { name: "park" }).waitFor();
  assert.equal(await letters.getByRole("row").count(), 4);
  await tab.accessible("dead letters");
  while (await page.evaluate(() => !document.activeElement.getAttribute("aria-label")?.startsWith("Drop facts."))) await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  const ask = page.getByRole("dialog", { name: /^Drop facts\.\d+ of app\?/ });
  await ask.waitFor();
  assert.match(await ask.getByLabel("Command line").innerText(), new RegExp(`roomctl -s ${service.url} webhooks drop app facts\\.\\d+$`));
  await tab.accessible("a question before a letter is dropped");
  await page.keyboard.press("Enter");
  await ask.waitFor({ state: "detached" });
  await tab.until(() => document.querySelectorAll("dialog tbody tr").length === 2);

  // What is shown does the same: one is delivered so, and the last one by the button.
  app.answer = () => ({ status: 204 });
  await letters.getByRole("button", { name: /^Replay facts/ }).first().click();
  const again = page.getByRole("dialog", { name: /^Deliver facts/ });
  await byShell(await again.getByLabel("Command line").innerText());
  await row(tab, "app").getByText("delivering").waitFor();
  await again.getByRole("button", { name: "Deliver" }).click();
  await again.getByRole("alert").getByText("They are not there any more.").waitFor();
  await again.getByRole("button", { name: "Cancel" }).click();
  await letters.getByRole("button", { name: "Replay all…" }).click();
  const all = page.getByRole("dialog", { name: "Deliver all dead letters of app once more?" });
  assert.match(await all.getByLabel("Command line").innerText(), / webhooks replay --all app$/);
  await all.getByRole("button", { name: "Deliver" }).click();
  await letters.getByText("There are none any more.").waitFor();
  await letters.getByRole("button", { name: "Close" }).click();
  await row(tab, "app").getByText("delivering").waitFor();
  await tab.until(() => !document.querySelector("[aria-label=Webhooks] tbody button"));

  // What waits, and until when.
  app.answer = (q) => (q.url.startsWith("/hook") ? { status: 500 } : { status: 200 });
  await caller.ask("enter", { roomID: "lobby", userID: "bob" });
  await caller.ask("enter", { roomID: "lobby", userID: "carol" });
  await row(tab, "app").getByText("the receiver answered 500 internal server error").last().waitFor();
  await tab.until(() => {
    const [, , waiting, behind] = document.querySelector("[aria-label=Webhooks] tbody tr").cells;
    return /^2for /.test(waiting.textContent) && behind.textContent === "1";
  });
  if (process.env.PICTURES) {
    await mkdir(process.env.PICTURES, { recursive: true });
    await tab.region("Webhooks").screenshot({ path: join(process.env.PICTURES, "inspector-webhooks.png"), animations: "disabled" });
  }
  app.answer = (q) => (q.url.startsWith("/hook") ? { status: 429, headers: { "Retry-After": "600" } } : { status: 200 });
  await row(tab, "app").getByText("paused").waitFor();
  await row(tab, "app").getByText(/^until .* as the receiver asked$/).waitFor();
  await tab.accessible("a webhook that pauses");
});

for (const [scheme, width] of [["dark", 1280], ["light", 360], ["dark", 360]]) {
  look(`webhooks: nothing for axe to find: ${scheme}, ${width} pixels wide`, () => service.page, async (tab) => {
    app.answer = (q) => ({ status: q.url.startsWith("/quiet") ? 410 : 200 });
    await caller.ask("create", { roomID: `seen-${scheme}-${width}`, userID: "alice" });
    await tab.go("#/service");
    await row(tab, "quiet").getByText("failing").waitFor();
    await tab.accessible("webhooks");
    await row(tab, "quiet").getByRole("button", { name: /dead letters? of quiet/ }).click();
    await tab.dialog("Dead letters of quiet").getByRole("button", { name: /^Drop facts/ }).first().waitFor();
    await tab.accessible("dead letters");
    await tab.dialog("Dead letters of quiet").getByRole("button", { name: "Drop all…" }).click();
    await tab.accessible("a question");
  }, { scheme, width });
}


const password = await secret("open sesame 4711");

/** Logs in; failed logins are slowed, so this one may have to wait. */
async function logIn(tab, hash) {
  await tab.go(hash);
  await tab.page.getByLabel("Password").fill(password.text);
  await tab.page.keyboard.press("Enter");
  await tab.page.getByRole("navigation", { name: "Pages" }).waitFor();
}

look("webhooks at an instance that does not lead", async () => {
  const port = await freePort();
  const instance = new Process(file("bin/roomd"), ["--nats", service.url, "--http", `127.0.0.1:${port}`, "--http-password", password.file, ...webhooks]);
  after(async () => {
    instance.child.kill();
    await instance.exit();
  });
  await instance.line("ready ");
  return `http://127.0.0.1:${port}/inspector/`;
}, async (tab) => {
  await logIn(tab, "#/service");
  await tab.region("Webhooks").getByText(/^instance \S+ delivers; how it goes is on its page$/).waitFor();
  await row(tab, "app").getByText(/^at \S+$/).waitFor();
  await row(tab, "quiet").getByRole("button", { name: /dead letters? of quiet/ }).waitFor(); // these everybody can see
  assert.equal(await tab.page.getByRole("img", { name: /^Webhook/ }).count(), 0);
  await tab.accessible("webhooks of another instance");
});

look("a token is tried", async () => {
  await writeFile(join(dir, "key"), randomBytes(48).toString("base64"));
  await writeFile(join(dir, "other"), randomBytes(48).toString("base64"));
  const guarded = await inspected({ password, flags: ["--auth", "jwt", "--auth-key", join(dir, "key"), "--websocket-any-origin"] });
  return guarded.page;
}, async (tab) => {
  const { page } = tab;
  const token = async (key, ...flags) => (await run(file("bin/roomctl"), ["token", "--key", join(dir, key), "--sub", "alice", ...flags])).stdout.trim();
  await logIn(tab, "#/users");
  const area = tab.region("Try a token");
  const answer = area.getByRole("status");
  const attempt = async (text, command, body) => {
    await area.getByLabel("Token").fill(text);
    await area.getByLabel("Command").selectOption(command);
    if (body !== undefined) await area.getByLabel("Its body").fill(body);
    await area.getByRole("button", { name: "Try" }).click();
  };
  await attempt("not a token", "");
  await answer.getByText("refused", { exact: true }).waitFor();
  await answer.getByText("it cannot be read").waitFor();
  await tab.accessible("a token that is none");

  await attempt(await token("other", "--rooms", "lobby"), ""); // it says so itself, and nobody believes it
  await answer.getByText("refused", { exact: true }).waitFor();
  await answer.getByText("alice", { exact: true }).waitFor();

  const good = await token("key", "--rooms", "lobby", "--verbs", "enter,get,rooms");
  await attempt(good, "");
  await answer.getByText("accepted", { exact: true }).waitFor();
  assert.match(await answer.innerText(), /User\s*alice\s*Rooms\s*lobby\s*Commands\s*enter, get, rooms/);
  assert.equal(await answer.getByLabel("Answer").count(), 0);

  await attempt(good, "enter", "{");
  await area.getByRole("alert").getByText("The body is not JSON.").waitFor();

  await attempt(good, "enter", '{"roomID": "lobby"}');
  const reply = answer.getByLabel("Answer");
  await reply.getByText('"sequence": 1').waitFor();
  await tab.accessible("a token that is good");
  await attempt(good, "leave", '{"roomID": "lobby"}'); // not among its commands
  await reply.getByText('"NOT_ALLOWED"').waitFor();
  await attempt(await token("key", "--ttl", "1h"), "rooms", "{}"); // what it did is there
  await reply.getByText('"lobby"').waitFor();
  await tab.visit("#/rooms/lobby");
  await page.getByRole("option", { name: "alice" }).waitFor();
});

look("where nobody needs a token, it says so", () => service.page, async (tab) => {
  await tab.go("#/users");
  await tab.region("Try a token").getByText("Here nobody needs a token.").waitFor();
  assert.equal(await tab.page.getByRole("textbox").count(), 0);
});

let unwell;
look("a roomd that is not ready: why, and what the manual says about it", async () => (unwell = await inspected()).page, async (tab) => {
  const { page } = tab;
  const late = { timeout: 3 * patience }; // roomd looks at its streams now and then only
  const { nc } = await Caller.to(unwell.url);
  const stream = async (what, body) => {
    const reply = (await nc.request(`$JS.API.STREAM.${what}.OURS`, body && JSON.stringify(body), { timeout: 15_000 })).json();
    assert.equal(reply.error, undefined);
  };
  await tab.go("#/service");
  const readiness = tab.region("Readiness");
  await readiness.getByText("Ready", { exact: true }).waitFor();
  await stream("CREATE", { name: "OURS", subjects: ["room.evt.>"], no_ack: true, retention: "limits", storage: "memory", num_replicas: 1 });
  await readiness.getByText("Not ready", { exact: true }).waitFor(late);
  await readiness.getByText("subjects", { exact: true }).waitFor();
  await readiness.getByText(/OURS/).first().waitFor();
  const more = readiness.locator("summary").first();
  await more.focus();
  await page.keyboard.press("Enter");
  await readiness.getByRole("heading", { name: "NatsroomsSubjectsTaken" }).waitFor();
  await readiness.getByText(/It means: the problem subjects: another stream takes subjects of natsrooms/).waitFor();
  await readiness.getByText(/Do: delete it, and read the facts as pipelines do\./).waitFor(); // a link's text is left of it
  await tab.accessible("a roomd that is not ready");
  await page.setViewportSize({ width: 360, height: 800 });
  await tab.accessible("a roomd that is not ready, 360 pixels wide");
  await stream("DELETE");
  await readiness.getByText("Ready", { exact: true }).waitFor(late);
  assert.equal(await readiness.locator(".problem").count(), 0);
});

look("what cannot be drawn", () => service.page, async (tab) => {
  const { page } = tab;
  const wrong = { at: new Date().toISOString(), seconds: 0, ready: true }; // a sample that lacks most
  await page.route("**/api/service*", (route) => route.fulfill({ contentType: "text/event-stream", body: `event: sample\ndata: ${JSON.stringify(wrong)}\n\n` }));
  tab.away = true; // the page writes down the mistake
  await tab.go("#/service");
  const broken = tab.region("The page is broken");
  await broken.getByRole("heading", { name: "This can't be shown" }).waitFor();
  await broken.getByText("roomd goes on").waitFor();
  await tab.accessible("a page that is broken");

  // The rest of the page is alive.
  await page.getByRole("link", { name: "Rooms", exact: true }).click();
  await page.getByRole("link", { name: "lobby", exact: true }).waitFor();
  assert.equal(await broken.count(), 0);
  await page.goBack();
  await broken.waitFor();
  await page.unroute("**/api/service*");
  await page.keyboard.press("Enter"); // the button has the focus
  await tab.region("Readiness").getByText("Ready", { exact: true }).waitFor();

  // And where nothing else is left: a dialog that cannot be drawn.
  await row(tab, "quiet").getByRole("button", { name: /dead letters? of quiet/ }).waitFor();
  await page.route("**/api/webhooks/list", (route) => route.fulfill({ json: { letters: [{}] } }));
  await row(tab, "quiet").getByRole("button", { name: /dead letters? of quiet/ }).click();
  await broken.waitFor();
  await tab.accessible("nothing but what is broken");
  await page.unroute("**/api/webhooks/list");
  await page.getByRole("button", { name: "Load the page again" }).click();
  await row(tab, "quiet").getByRole("button", { name: /dead letters? of quiet/ }).waitFor();
});
