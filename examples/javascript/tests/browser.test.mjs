import assert from "node:assert/strict";
import { mkdtemp, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { outcome } from "../../../clients/js/tests/commands.mjs";
import { backEnd, cable, connection, file, freePort, Person, roomd, roomdWithTokens } from "../../../clients/js/tests/harness.mjs";

const { url, ws } = await roomd();
const address = (server) => `${pathToFileURL(file("examples/javascript/browser/index.html"))}?server=${server}`;
file("examples/javascript/browser/dist/main.js");
let browser;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
});
after(() => browser?.close());

/** A tab in which somebody has entered a room. */
class Tab {
  static async in(context, user, room, server = ws, token = "") {
    const tab = new Tab();
    tab.page = await context.newPage();
    tab.complaints = [];
    tab.page.on("pageerror", (err) => tab.complaints.push(err.message));
    tab.page.on("console", (message) => ["error", "warning"].includes(message.type()) && tab.complaints.push(message.text()));
    await tab.page.goto(address(server));
    await tab.page.getByLabel("Token").fill(token);
    await tab.enter(user, room);
    return tab;
  }

  async enter(user, room) {
    await this.page.getByLabel("Your name").fill(user);
    await this.page.getByLabel("Room").fill(room);
    await this.page.getByRole("button", { name: "Enter" }).click();
  }

  /** Waits until the list of members is exactly this. */
  members(...users) {
    return this.page.waitForFunction((want) => [...document.querySelectorAll("#members li")].map((li) => li.textContent).join() === want, users.join());
  }

  says(text) {
    return this.page.getByLabel("Message").fill(text).then(() => this.page.getByRole("button", { name: "Send" }).click());
  }

  /** The button of a message, if the tab's user may do something with it. */
  more(text) {
    return this.page.locator("#talk li:not(.note)").filter({ hasText: text }).getByRole("button");
  }

  /** Chooses something from a message's menu. */
  async chooses(text, item) {
    await this.more(text).click();
    await this.page.getByRole("menuitem", { name: item, exact: true }).click();
  }

  /** Waits until these are the messages that are shown. */
  shows(...texts) {
    return this.page.waitForFunction((want) => [...document.querySelectorAll("#talk li:not(.note)")].map((li) => li.lastChild.textContent).join() === want, texts.join());
  }

  line(text) {
    return this.page.locator("#talk li").filter({ hasText: text }).waitFor();
  }
}

/** A test in a fresh browser; what its tabs looked like is kept if it fails. */
function chat(name, body) {
  test(name, { timeout: 180_000 }, async (t) => {
    const context = await browser.newContext();
    context.setDefaultTimeout(15_000);
    try {
      await body(context);
    } catch (err) {
      const dir = await mkdtemp(join(tmpdir(), "natsrooms-page-"));
      for (const [i, page] of context.pages().entries()) await page.screenshot({ path: join(dir, `${i}.png`) }).catch(() => {});
      t.diagnostic(`screenshots are in ${dir}`);
      throw err;
    } finally {
      await context.close();
    }
  });
}

chat("two tabs chat", async (context) => {
  const alice = await Tab.in(context, "alice", "lobby");
  await alice.members("alice");
  const bob = await Tab.in(context, "bob", "lobby");
  await bob.members("bob", "alice"); // oneself first
  await alice.members("alice", "bob");
  await alice.line("bob joined");

  await alice.says("hello bob");
  await bob.line("hello bob");
  await bob.says("<b>hello</b> <img src=x onerror=alert(1)>");
  await alice.line("<b>hello</b> <img src=x onerror=alert(1)>");
  await bob.line("<b>hello</b>");
  assert.equal(await alice.page.locator("#talk b, #talk img").count(), 0);
  assert.deepEqual(await alice.page.locator("#talk li:not(.note)").evaluateAll((list) => list.map((li) => li.className)), ["me", ""]);

  await bob.page.getByRole("button", { name: "Leave" }).click();
  await alice.members("alice");
  await alice.line("bob left");
  await bob.page.getByLabel("Your name").waitFor();
  assert.equal(await bob.page.locator("#refusal").textContent(), "");

  await bob.enter("bob", "lobby");
  await bob.members("bob", "alice");
  await bob.line("hello bob"); // from before it came back
  await alice.page.close();
  await bob.members("bob");
  assert.deepEqual([alice.complaints, bob.complaints], [[], []]);
});

chat("a tab and node", async (context) => {
  const tab = await Tab.in(context, "grün & <i>schief</i>", "a room.");
  await tab.members("grün & <i>schief</i>");
  const node = await Person.in(await connection(url), "a room.", "node");
  assert.equal(node.roster.size, 2);
  await tab.members("grün & <i>schief</i>", "node");
  await node.says("from node");
  await tab.line("from node");
  await tab.says("from the browser");
  await node.hears("from node", "from the browser");
  await backEnd(await connection(url)).kick({ roomID: "a room.", userIDs: ["grün & <i>schief</i>"], reason: "<b>too loud</b>" });
  await tab.page.getByText("You were put out of the room: <b>too loud</b>").waitFor();
  await tab.page.reload();
  await tab.page.getByLabel("Your name").waitFor(); // it does not come back by itself
});

chat("a tab makes up for a broken connection", async (context) => {
  const line = await cable(ws);
  const tab = await Tab.in(context, "alice", "breaks", line.url);
  await tab.members("alice");
  const bob = await Person.in(await connection(url), "breaks", "bob");
  await Person.in(await connection(url), "breaks", "carol");
  await tab.members("alice", "bob", "carol");
  line.cut();
  await tab.page.getByText("reconnecting").waitFor();
  await bob.says("one more thing");
  await bob.leave();
  await tab.members("alice", "bob", "carol");
  line.mend();
  await tab.members("alice", "carol");
  await tab.line("one more thing");
  await tab.line("bob left");
});

chat("tabs of users with tokens", async (context) => {
  const service = await roomdWithTokens();
  const tabs = [];
  for (const user of ["alice", "bob"]) tabs.push(await Tab.in(context, user, "lobby", service.ws, await service.tokenOf(user)));
  const [alice, bob] = tabs;
  await alice.members("alice", "bob");
  await bob.members("bob", "alice");
  await bob.says("hello alice");
  await alice.line("hello alice");
  await bob.page.getByRole("button", { name: "Leave" }).click();
  await alice.members("alice");
  const carol = await Tab.in(context, "carol", "lobby", service.ws, await service.tokenOf("somebody else"));
  await carol.page.locator("#refusal").filter({ hasText: /./ }).waitFor();
  assert.deepEqual([alice.complaints, bob.complaints], [[], []]);
});

chat("a host runs the room from its members' menus, and each of them is told why", async (context) => {
  const service = await roomdWithTokens();
  const tab = async (user) => Tab.in(context, user, "hosted", service.ws, await service.tokenOf(user));
  const alice = await tab("alice"); // makes the room
  await alice.members("alice");
  const [bob, carol] = [await tab("bob"), await tab("carol")];
  await alice.members("alice", "bob", "carol");
  await bob.members("bob", "alice", "carol");
  assert.deepEqual(await bob.page.locator("#members .host").allTextContents(), ["alice"]);
  assert.equal(await bob.page.locator("#members button").count(), 0); // he is no host
  const menu = async (host, user, item) => {
    await host.page.locator("#members").getByRole("button", { name: user }).click();
    await host.page.getByRole("menuitem", { name: item, exact: true }).click();
  };

  await menu(alice, "bob", "Mute for 10 minutes");
  await bob.line(/^bob is muted until .+: a host asks you to be quiet$/);
  await bob.says("am I heard?");
  await bob.line("You are muted until");
  assert.equal(await bob.page.getByLabel("Message").inputValue(), "am I heard?");
  await menu(alice, "bob", "Unmute");
  await bob.line("bob may speak again");
  await bob.says("now I am");
  await carol.line("now I am");
  assert.equal(await carol.page.getByText("am I heard?").count(), 0);

  await menu(alice, "bob", "Make host");
  await bob.line("bob is a host");
  await menu(bob, "carol", "Kick");
  await carol.page.getByText("You were put out of the room: a host asks you to leave").waitFor();
  await alice.line("carol was put out");
  await carol.enter("carol", "hosted");
  await bob.members("bob", "alice", "carol");
  await menu(bob, "carol", "Ban for 10 minutes");
  await carol.page.locator("#refusal").filter({ hasText: /^You were banned from the room until .+: a host does not want you here$/ }).waitFor();
  await carol.enter("carol", "hosted");
  await carol.page.locator("#refusal").filter({ hasText: /^You are banned from this room until .+\.$/ }).waitFor();
  await alice.members("alice", "bob");

  await menu(alice, "bob", "Make no host");
  await bob.line("bob is no host any more");
  await bob.page.locator("#members button").first().waitFor({ state: "detached" });
  assert.deepEqual([alice.complaints, bob.complaints, carol.complaints], [[], [], []]);
});

chat("messages are deleted from their menus, and are gone from every screen", async (context) => {
  const service = await roomdWithTokens();
  const tab = async (user) => Tab.in(context, user, "said", service.ws, await service.tokenOf(user));
  const alice = await tab("alice"); // makes the room
  await alice.members("alice");
  const bob = await tab("bob");
  await alice.members("alice", "bob");
  for (const text of ["one", "two"]) await bob.says(text);
  await bob.shows("one", "two");
  await alice.says("three");
  for (const each of [alice, bob]) await each.shows("one", "two", "three");
  assert.equal(await bob.more("three").count(), 0); // it is not his, and he is no host

  await bob.more("one").click();
  assert.deepEqual(await bob.page.getByRole("menuitem").allTextContents(), ["Delete"]);
  await bob.page.getByRole("menuitem", { name: "Delete" }).click();
  for (const each of [alice, bob]) await each.shows("two", "three");

  // By keyboard, on a screen as narrow as a telephone's.
  const { page } = alice;
  await page.setViewportSize({ width: 360, height: 640 });
  await alice.more("two").focus();
  await page.keyboard.press("Enter");
  const items = page.getByRole("menuitem");
  assert.deepEqual(await items.allTextContents(), ["Delete", "Ban for 10 minutes", "Mute for 10 minutes", "Unmute"]);
  const { x, y, width, height } = await page.getByRole("menu").boundingBox();
  assert.ok(x >= 0 && y >= 0 && x + width <= 360 && y + height <= 640, JSON.stringify({ x, y, width, height }));
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  for (const [key, text] of [["ArrowUp", "Unmute"], ["ArrowDown", "Delete"], ["Tab", "Ban for 10 minutes"]]) {
    await page.keyboard.press(key);
    assert.equal(await focused(), text, key);
  }
  await page.keyboard.press("Escape");
  await page.getByRole("menu").waitFor({ state: "hidden" });
  assert.ok(await alice.more("two").evaluate((button) => button === document.activeElement));
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  for (const each of [alice, bob]) await each.shows("three");
  assert.ok(await page.getByLabel("Message").evaluate((input) => input === document.activeElement));
  await alice.chooses("three", "Delete"); // her own
  for (const each of [alice, bob]) await each.shows();
  assert.deepEqual([alice.complaints, bob.complaints], [[], []]);
});

chat("a tab that was away, or is loaded again, does not show what was deleted", async (context) => {
  const line = await cable(ws);
  const alice = await Tab.in(context, "alice", "forgetful"); // makes the room
  await alice.members("alice");
  const bob = await Tab.in(context, "bob", "forgetful", line.url);
  const carol = await Person.in(await connection(url), "forgetful", "carol");
  for (const text of ["one", "two", "three"]) await carol.says(text);
  for (const each of [alice, bob]) await each.shows("one", "two", "three");
  line.cut();
  await bob.page.getByText("reconnecting").waitFor();
  await alice.chooses("one", "Delete");
  await alice.shows("two", "three");
  line.mend();
  await bob.shows("two", "three"); // although he did not hear of it

  await alice.chooses("two", "Mute for 10 minutes");
  await bob.line(/^carol is muted until .+: a host asks you to be quiet$/);
  await alice.chooses("two", "Ban for 10 minutes");
  await alice.members("alice", "bob");
  await alice.chooses("two", "Delete"); // whose sender is out
  await bob.shows("three");
  await bob.page.reload();
  await bob.members("bob", "alice");
  await bob.shows("three");
});

chat("whoever may not delete a message reads why", async (context) => {
  const service = await roomd("--recall", "1s");
  const alice = await Tab.in(context, "alice", "late", service.ws);
  await alice.members("alice");
  const bob = await Tab.in(context, "bob", "late", service.ws);
  await bob.says("of bob");
  await alice.says("of alice");
  for (const tab of [alice, bob]) for (const text of ["of bob", "of alice"]) await tab.line(text);
  const heard = Date.now();
  await bob.page.waitForFunction((then) => Date.now() > then, heard + 1000); // its time is over
  await bob.chooses("of bob", "Delete");
  await bob.line("You can delete what you said for 1 second only.");

  const role = async (item) => {
    await alice.page.locator("#members").getByRole("button", { name: "bob" }).click();
    await alice.page.getByRole("menuitem", { name: item, exact: true }).click();
  };
  await role("Make host");
  await bob.more("of alice").click();
  await role("Make no host");
  await bob.line("bob is no host any more");
  assert.equal(await bob.more("of alice").count(), 0);
  await bob.page.getByRole("menuitem", { name: "Delete" }).click(); // the menu was open
  await bob.line("Only hosts of the room may do that.");
  assert.deepEqual(await bob.page.locator("#talk li:not(.note)").evaluateAll((list) => list.map((li) => li.lastChild.textContent)), ["of bob", "of alice"]);
});

chat("no server, no chat", async (context) => {
  const page = await context.newPage();
  await page.goto(address(`ws://127.0.0.1:${await freePort()}`));
  await page.getByLabel("Your name").fill("alice");
  await page.getByRole("button", { name: "Enter" }).click();
  await page.locator("#refusal").filter({ hasText: /./ }).waitFor();
  await page.getByRole("button", { name: "Enter" }).and(page.locator(":enabled")).waitFor();
});

chat("a reload comes back in as the same session, and a duplicated tab as another one", async (context) => {
  const bob = await Person.in(await connection(url), "reload", "bob");
  const alice = await Tab.in(context, "alice", "reload");
  const sessions = () => bob.roster.get("alice")?.sessions.map((s) => s.sessionID) ?? [];
  await bob.until("alice", () => sessions().length === 1);
  const [first] = sessions();
  await alice.says("before");
  await alice.page.reload();
  await alice.members("alice", "bob");
  await alice.line("before");
  await alice.says("after");
  await bob.hears("before", "after");
  assert.deepEqual(sessions(), [first]);
  assert.deepEqual(bob.of("member.left"), []);

  const kept = await alice.page.evaluate(() => ({ ...sessionStorage }));
  const copy = new Tab();
  copy.page = await context.newPage();
  await copy.page.addInitScript((items) => Object.assign(sessionStorage, items), kept); // as a browser does for a duplicate
  await copy.page.goto(address(ws));
  await copy.members("alice", "bob");
  await bob.until("a second session", () => sessions().length === 2);
  await copy.page.getByRole("button", { name: "Leave" }).click();
  await bob.until("one session", () => sessions().join() === first);
  await alice.says("still here");
  await bob.hears("before", "after", "still here");
});

chat("what is said while the service is away is sent when it is back, once", async (context) => {
  const service = await roomd();
  const tab = await Tab.in(context, "alice", "away", service.ws);
  await tab.members("alice");
  await service.kill("SIGKILL");
  await tab.says("one");
  await tab.says("two");
  await tab.page.getByText("2 to be sent").waitFor();
  assert.ok(await service.start());
  await tab.line("one");
  await tab.line("two");
  await tab.page.waitForFunction(() => document.getElementById("waiting").textContent === "");
  const said = await tab.page.locator("#talk li:not(.note)").evaluateAll((list) => list.map((li) => li.lastChild.textContent));
  assert.deepEqual(said, ["one", "two"]);
  assert.equal(await tab.page.getByText("not sent").count(), 0);
  assert.equal(await tab.page.getByLabel("Message").inputValue(), "");
});

chat("what is refused is not sent, and can be sent again; blank messages are not sent at all", async (context) => {
  const tab = await Tab.in(context, "alice", "refused");
  await tab.members("alice");
  await tab.says("   ");
  await tab.says("x".repeat(40_000));
  await tab.page.locator("#talk .note").filter({ hasText: /^not sent: x+/ }).waitFor();
  assert.equal((await tab.page.getByLabel("Message").inputValue()).length, 40_000);
  await tab.says("short");
  await tab.line("short");
  assert.equal(await tab.page.locator("#talk li:not(.note)").count(), 1);
});

chat("the newest message is seen as a whole", async (context) => {
  const tab = await Tab.in(context, "alice", "long");
  const bob = await Person.in(await connection(url), "long", "bob");
  for (let i = 0; i < 30; i++) await bob.says(`line ${i}`);
  await tab.line("line 29");
  const isSeen = async (when) => {
    await tab.page.waitForFunction(() => new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(() => seen(true))))); // it is laid out
    const { room, inside, page } = await tab.page.evaluate(() => {
      const bottom = (element) => element.getBoundingClientRect().bottom;
      const talk = document.getElementById("talk");
      return { room: bottom(talk) - bottom(talk.lastElementChild), inside: bottom(document.getElementById("say")) - innerHeight, page: document.documentElement.scrollHeight - innerHeight };
    });
    assert.ok(room >= 8 && inside <= 0 && page <= 0, JSON.stringify({ when, room, inside, page }));
  };
  for (const size of [{ width: 1000, height: 700 }, { width: 360, height: 500 }]) {
    await tab.page.setViewportSize(size);
    await isSeen(`at ${size.width}`);
    await bob.says(`at ${size.width}`);
    await tab.line(`at ${size.width}`);
    await isSeen(`said at ${size.width}`);
  }
});

test("every command of the contract, from a page", async () => {
  const { outputFiles } = await build({
    stdin: {
      contents: `export { wsconnect } from "@nats-io/nats-core"; export { everyCommand } from "./commands.mjs";`,
      resolveDir: file("clients/js/tests"),
    },
    bundle: true, format: "iife", globalName: "contract", write: false,
  });
  const schemas = await readdir(new URL("../../../docs/contract/schemas/commands", import.meta.url));
  const page = await browser.newPage();
  await page.evaluate(outputFiles[0].text.replace("var contract", "globalThis.contract"));
  const got = await page.evaluate(async (servers) => {
    const nc = await contract.wsconnect({ servers });
    const result = await contract.everyCommand(nc, "page");
    await nc.close();
    return result;
  }, ws);
  assert.deepEqual(got, outcome("page", schemas.map((name) => name.replace(".json", "")).sort()));
  await page.close();
});
