import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, test } from "node:test";
import { promisify } from "node:util";
import { file } from "../../../../../clients/js/tests/harness.mjs";
import { browser, look as lookAt, Tab } from "./page.mjs";
import { Caller, inspected, secret } from "./world.mjs";

const rooms = 100_000;
const crowd = 2_000;

// Where pictures go: into the manual's folder if somebody asks for it, otherwise they are only measured.
const pictures = process.env.PICTURES || await mkdtemp(join(tmpdir(), "natsrooms-pictures-"));

const service = await inspected();
const caller = await Caller.to(service.url);

before(() => mkdir(pictures, { recursive: true }));

const member = (i) => `user-${String(i).padStart(4, "0")}`;

const look = (name, body, options) => lookAt(name, () => service.page, body, options);

async function picture(tab, name) {
  const path = join(pictures, `inspector-${name}.png`);
  await tab.page.evaluate(() => { // where this machine has its roomctl is of no interest
    for (const { firstChild: text } of document.querySelectorAll(".command pre")) text.data = text.data.replace(/^\S*roomctl -s \S+/, "roomctl");
  });
  await tab.page.screenshot({ path, animations: "disabled" });
  const { size } = await stat(path);
  assert.ok(size < 200_000, `${path} has ${size} bytes`);
}

/** How long it takes until a condition is true, in the page's own time. */
const timed = async (what) => {
  const start = performance.now();
  await what();
  return performance.now() - start;
};

before(async () => {
  // A room that people look at.
  const lobby = { roomID: "lobby" };
  await caller.ask("create", { ...lobby, roomName: "The lobby", userID: "alice", userName: "Alice", sessionID: "phone", config: { hosts: "creator", roomAttributes: { topic: "tea", mode: "open" } } });
  await caller.ask("enter", { ...lobby, userID: "alice", sessionID: "laptop", leaseSeconds: 600 });
  for (const userID of ["bob", "carol", "dave"]) await caller.ask("enter", { ...lobby, userID, userName: userID[0].toUpperCase() + userID.slice(1), sessionID: "tablet", leaseSeconds: 600 });
  await caller.ask("setAttributes", { ...lobby, userID: "bob", sessionID: "tablet", set: { slide: "4" }, isUpdateOwner: true });
  await caller.ask("ban", { ...lobby, userIDs: ["mallory"], seconds: 3600, reason: "spam" });
  await caller.ask("mute", { ...lobby, userIDs: ["dave"], seconds: 600, reason: "a little quieter" });
  const lines = [["alice", "Good morning! Tea is ready."], ["bob", "With milk, please."], ["carol", "Who has the slides?"], ["bob", "I do. We are at number 4."], ["", "The room closes at noon."]];
  for (const [userID, data] of lines) await caller.ask("send", { ...lobby, type: "text", data, ...(userID && { userID, sessionID: userID === "alice" ? "phone" : "tablet" }) });

  await caller.all(crowd, (i) => caller.ask("enter", { roomID: "hall", userID: member(i), userName: `User ${i}`, sessionID: "web" }));
});

look("a room: who is in with what, what it has, and what happened", async (tab) => {
  await tab.go("#/rooms/lobby");
  await tab.region("Timeline").getByText("I do. We are at number 4.").waitFor();
  const list = tab.page.getByRole("listbox", { name: "Members" });
  assert.deepEqual(await list.locator("[role=option] strong").allInnerTexts(), ["alice", "bob", "carol", "dave"]);
  assert.deepEqual(await tab.region("Attributes").getByRole("row").allInnerTexts().then((all) => all.slice(1).map((row) => row.split("\t").slice(0, 3).map((cell) => cell.trim()))), [
    ["mode", "open", "alice"], ["slide", "4", "bob"], ["topic", "tea", "alice"],
  ]);
  const access = tab.region("Access");
  await access.getByRole("row", { name: /mallory banned .* spam/ }).waitFor();
  await access.getByRole("row", { name: /dave muted .* a little quieter/ }).waitFor();
  await tab.accessible("a room");
  await picture(tab, "room");

  await list.getByRole("option", { name: /alice/ }).click();
  const alice = tab.dialog("alice");
  await alice.getByRole("row", { name: /laptop .* 600 s until .* ago/ }).waitFor();
  await alice.getByRole("row", { name: /phone .* none not asked for/ }).waitFor();
  await tab.accessible("a member");
  await tab.page.keyboard.press("Escape");
  await alice.waitFor({ state: "detached" });

  // It goes on live.
  await caller.ask("send", { roomID: "lobby", type: "text", data: "and live", userID: "bob", sessionID: "tablet" });
  await tab.region("Timeline").getByText("and live").waitFor();
  await caller.ask("setAttributes", { roomID: "lobby", userID: "bob", sessionID: "tablet", set: { slide: "5" } });
  await tab.region("Attributes").getByRole("row", { name: /slide 5 bob/ }).waitFor();
  await caller.ask("enter", { roomID: "lobby", userID: "erin" });
  await list.getByRole("option", { name: /erin/ }).waitFor();
  await caller.ask("leave", { roomID: "lobby", userID: "erin" });
  await list.getByRole("option", { name: /erin/ }).waitFor({ state: "detached" });

  // And somebody looks at what is stored.
  await tab.region("Timeline").getByRole("button", { name: /as JSON/ }).first().click();
  await tab.page.getByLabel("As it is stored").getByText('"io.natsrooms.member.left.v1"').waitFor();
});

look("what is said by strangers is text", async (tab) => {
  const evil = "<img src=x onerror=alert(1)>";
  await caller.ask("enter", { roomID: evil, roomName: evil, userID: evil, userName: evil, sessionID: evil, config: { roomAttributes: { [evil]: evil } } });
  await caller.ask("send", { roomID: evil, userID: evil, sessionID: evil, type: "text", data: evil });
  await tab.go(`#/rooms/${encodeURIComponent(evil)}`);
  await tab.region("Timeline").getByText(evil).first().waitFor();
  await tab.page.getByRole("option", { name: evil }).click();
  await tab.dialog(evil).waitFor();
  await tab.dialog(evil).getByRole("button", { name: "Kick…" }).click();
  assert.match(await tab.page.getByLabel("Command line").innerText(), / kick '<img src=x onerror=alert\(1\)>' '<img src=x onerror=alert\(1\)>'$/);
  assert.equal(await tab.page.locator("img:not([src='icon.svg'])").count(), 0);
});

look("2,000 members stay quick, and one is kicked by keyboard alone", async (tab, t) => {
  await tab.go("#/rooms/hall");
  const { page } = tab;
  const list = page.getByRole("listbox", { name: "Members" });
  await list.getByRole("option", { name: member(0) }).waitFor();
  assert.ok(await list.getByRole("option").count() < 60); // only those that are seen
  assert.equal(await list.getByRole("option").first().getAttribute("aria-setsize"), String(crowd));

  // Tab from the top of the page to the list, and nothing but keys from then on.
  await page.evaluate(() => document.activeElement.blur());
  for (let i = 0; await page.evaluate(() => document.activeElement.getAttribute("role") !== "listbox"); i++) {
    assert.ok(i < 40, "Tab does not lead to the members");
    await page.keyboard.press("Tab");
  }
  const took = await timed(async () => {
    await page.keyboard.press("End");
    await list.getByRole("option", { name: member(crowd - 1), selected: true }).waitFor();
  });
  t.diagnostic(`to the last of ${crowd} members: ${took.toFixed(0)} ms`);
  await page.keyboard.press("Home");
  await list.getByRole("option", { name: member(0), selected: true }).waitFor();
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.type(member(1234));
  await tab.until(() => document.querySelectorAll("[role=option].member").length === 1);
  await page.keyboard.press("Enter"); // into the list
  await page.keyboard.press("Enter"); // the member
  await tab.dialog(member(1234)).waitFor();
  while (await page.evaluate(() => document.activeElement.textContent !== "Kick…")) await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  const kick = tab.dialog(`Kick ${member(1234)}?`);
  await kick.waitFor();
  await page.keyboard.type("it's late");
  assert.match(await page.getByLabel("Command line").innerText(), / kick '--reason=it'\\''s late' hall user-1234$/);
  await tab.accessible("a question before a command");
  await picture(tab, "kick");
  await page.keyboard.press("Enter");
  await kick.waitFor({ state: "detached" });
  const { memberList } = await caller.ask("memberOf", { roomID: "hall", userIDs: [member(1234)] });
  assert.deepEqual(memberList, []);
  await tab.region("Timeline").getByText(`${member(1234)} was put out: it's late`).waitFor();
  await tab.until((n) => document.querySelector("[aria-label=Members] header").textContent.includes(n), (crowd - 1).toLocaleString("en"));
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("role")), "listbox"); // where it was
  await tab.accessible("a room with many members");
});

look("every action, and the command that does the same", async (tab) => {
  const roomID = "it's a room";
  const run = promisify(execFile);
  for (const userID of ["anna", "ben", "-x"]) await caller.ask("enter", { roomID, userID });
  await caller.ask("send", { roomID, userID: "ben", type: "text", data: "delete me" });
  await tab.go(`#/rooms/${encodeURIComponent(roomID)}`);
  const { page } = tab;
  const now = async () => {
    const [{ room, bans = [], mutes = [] }, { memberList }] = await Promise.all([caller.ask("get", { roomID, sync: true }), caller.ask("members", { roomID, sync: true })]);
    return { name: room.roomName, access: room.config.access ?? "open", allowed: room.config.allowedUsers ?? [], speakers: room.config.speakers ?? "all", attributes: room.attributes, bans: bans.map((b) => b.userID), mutes: mutes.map((m) => m.userID), members: memberList.map((m) => `${m.userID}${m.role === "host" ? " host" : ""}`) };
  };
  const action = async (open, fill, button, { byShell = false } = {}) => {
    await open();
    await fill?.();
    const command = await page.getByRole("dialog").last().getByLabel("Command line").innerText();
    assert.match(command, new RegExp(`^\\S*roomctl -s ${service.url} `));
    if (byShell) { // what is shown does it
      await run("sh", ["-c", command.replace(/^\S*roomctl/, `'${file("bin/roomctl")}'`)]);
      await page.getByRole("button", { name: "Cancel" }).click();
    } else {
      await page.getByRole("button", { name: button, exact: true }).last().click();
    }
    while (await page.getByRole("dialog").count() > 0) {
      const close = page.getByRole("button", { name: "Close", exact: true });
      if (await close.count() > 0) await close.click({ timeout: 1000 }).catch(() => {});
    }
  };
  const of = (user, button) => async () => {
    await page.getByRole("option", { name: user }).click();
    await tab.dialog(user).getByRole("button", { name: button }).click();
  };
  const field = (label, text) => () => page.getByRole("dialog").last().getByLabel(label).fill(text);
  await page.getByRole("option", { name: "anna" }).waitFor();

  for (const byShell of [false, true]) {
    await action(of("anna", "Make a host…"), undefined, "Change the role", { byShell });
    assert.deepEqual((await now()).members, ["anna host", "ben", "-x"]);
    await page.getByRole("option", { name: /anna.*host/s }).waitFor();
    await action(of("anna", "Make a member…"), undefined, "Change the role", { byShell });
    assert.deepEqual((await now()).members, ["anna", "ben", "-x"]);
    await tab.until(() => ![...document.querySelectorAll(".member")].some((row) => row.textContent.includes("host")));

    await action(of("ben", "Mute…"), field(/Reason/, "too loud"), "Mute", { byShell });
    assert.deepEqual((await now()).mutes, ["ben"]);
    await action(() => tab.region("Access").getByRole("button", { name: "Unmute ben" }).click(), undefined, "Unmute", { byShell });
    assert.deepEqual((await now()).mutes, []);

    await action(of("-x", "Ban…"), undefined, "Ban", { byShell });
    assert.deepEqual([(await now()).bans, (await now()).members], [["-x"], ["anna", "ben"]]);
    await action(() => tab.region("Access").getByRole("button", { name: "Unban -x" }).click(), undefined, "Unban", { byShell });
    assert.deepEqual((await now()).bans, []);
    await caller.ask("enter", { roomID, userID: "-x" });
    await page.getByRole("option", { name: "-x" }).waitFor();

    await action(() => page.getByRole("button", { name: "Change…" }).click(), async () => {
      await field("Name", byShell ? "two $HOME" : "one")();
      await page.getByRole("dialog").getByLabel("Who may send").selectOption(byShell ? "all" : "hosts");
    }, "Change", { byShell });
    assert.deepEqual([(await now()).name, (await now()).speakers], byShell ? ["two $HOME", "all"] : ["one", "hosts"]);
    await tab.page.getByRole("heading", { level: 1, name: byShell ? "two $HOME" : "one" }).waitFor();

    await action(() => page.getByRole("button", { name: "Who may join…" }).click(), async () => {
      await page.getByRole("dialog").getByLabel("Who may join").selectOption(byShell ? "open" : "listed");
      await field("Users to put on the list", byShell ? "d,e" : "anna ben")();
    }, "Change", { byShell });
    assert.deepEqual([(await now()).access, (await now()).allowed.toSorted()], byShell ? ["open", ["anna", "ben", "d,e"]] : ["listed", ["anna", "ben"]]);

    await action(() => tab.region("Attributes").getByRole("button", { name: "Set…" }).click(), async () => {
      await field("Key", "topic")();
      await field("Value", byShell ? "a \"b\"\nc" : "tea")();
    }, "Set", { byShell });
    assert.deepEqual((await now()).attributes, { topic: byShell ? "a \"b\"\nc" : "tea" });
    await action(() => tab.region("Attributes").getByRole("button", { name: "Delete topic" }).click(), undefined, "Delete", { byShell });
    assert.deepEqual((await now()).attributes, {});
    await tab.region("Attributes").getByText("none").waitFor();

    await action(of("-x", "Block…"), undefined, "Block", { byShell });
    assert.deepEqual((await caller.ask("blocked", {})).userList.map((b) => b.userID), ["-x"]);
    await tab.visit("#/users");
    await tab.accessible("blocked users");
    await action(() => page.getByRole("button", { name: "Unblock -x" }).click(), undefined, "Unblock", { byShell });
    assert.deepEqual((await caller.ask("blocked", {})).userList, []);
    await caller.ask("enter", { roomID, userID: "-x" });
    await tab.visit(`#/rooms/${encodeURIComponent(roomID)}`);
    await page.getByRole("option", { name: "-x" }).waitFor();
  }

  const said = async () => (await caller.ask("history", { roomID, instanceID: (await caller.ask("get", { roomID })).instanceID, beforeMessageSeq: 0, sync: true })).events.map((e) => e.data.data);
  await action(() => tab.region("Timeline").getByRole("button", { name: /Delete the message of ben/ }).click(), undefined, "Delete");
  await tab.region("Timeline").getByText("1 message was deleted").waitFor();
  assert.deepEqual(await said(), []);

  // The box to chat.
  await page.getByLabel("Message", { exact: true }).fill("hello from the server");
  await page.getByRole("button", { name: "Send" }).click();
  await tab.region("Timeline").getByText("hello from the server").first().waitFor();
  await page.getByLabel("As the member").fill("ben");
  await page.getByLabel("Message", { exact: true }).fill("hello from ben");
  await run("sh", ["-c", (await page.getByLabel("Command line").innerText()).replace(/^\S*roomctl/, `'${file("bin/roomctl")}'`)]);
  await page.getByLabel("As the member").fill("nobody");
  tab.away = true; // the browser writes down the refusal
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByRole("alert").getByText("nobody").waitFor();
  tab.away = false;
  assert.deepEqual(await said(), ["hello from the server", "hello from ben"]);

  await action(() => page.getByRole("button", { name: "Destroy…" }).click(), undefined, "Destroy");
  await tab.text("because somebody asked for it");
  await assert.rejects(caller.ask("get", { roomID }), /ROOM_NOT_EXIST/);
});

look("back in time: who was in, and the rooms of that name before", async (tab) => {
  const roomID = "then";
  const times = [];
  const mark = async (verb, body) => {
    const { sequence, instanceID } = await caller.ask(verb, { roomID, ...body });
    const { events } = await caller.ask("history", { roomID, instanceID, afterSequence: sequence - 1, count: 1, sync: true });
    times.push(Date.parse(events[0].time));
  };
  await mark("enter", { userID: "first" });
  await caller.ask("destroy", { roomID });
  await mark("enter", { userID: "anna" });
  await mark("enter", { userID: "ben" });
  await caller.ask("send", { roomID, userID: "ben", type: "text", data: "between" });
  await mark("leave", { userID: "anna" });
  await caller.all(60, (i) => caller.ask("enter", { roomID, userID: `guest-${i}` }));
  await tab.go(`#/rooms/${roomID}`);
  const { page } = tab;
  const slider = page.getByRole("slider", { name: "Moment" });
  const then = page.getByRole("listbox", { name: "Members then" });
  const names = () => then.locator("[role=option] strong").allInnerTexts();
  await page.getByRole("option", { name: "ben" }).waitFor();
  const to = (t) => slider.evaluate((input, value) => {
    input.value = value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }, String(t));
  const shows = (...users) => tab.until((want) => [...document.querySelectorAll('[aria-label="Members then"] [role=option] strong')].map((name) => name.textContent).join() === want, users.join());

  // By the mouse: far to the left is the beginning.
  const box = await slider.boundingBox();
  await page.mouse.move(box.x + box.width - 4, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 5 });
  await page.mouse.move(box.x + 6, box.y + box.height / 2, { steps: 5 });
  await page.mouse.up();
  await tab.until(() => document.querySelector(".travel.then"));

  // By steps from event to event, to a moment that is known.
  await to(times[3] - 1);
  for (let i = 0; i < 6 && !(await page.evaluate(() => document.querySelector(".travel [role=status]").textContent.includes("2 members then"))); i++) {
    await page.getByRole("button", { name: "Event before" }).click();
    await tab.until(() => /then/.test(document.querySelector(".travel [role=status]").textContent));
  }
  await shows("anna", "ben");
  await tab.region("Timeline").getByText("ben joined").waitFor();
  await tab.accessible("a room as it was");
  await page.getByRole("option", { name: "anna" }).click();
  await tab.dialog(/^anna, as of/).waitFor();
  assert.equal(await page.getByRole("button", { name: "Kick…" }).count(), 0); // nobody is kicked then
  await page.keyboard.press("Escape");
  await picture(tab, "time");

  // The room of that name before.
  await tab.region("Rooms of this name").getByRole("button", { name: /Look at the room/ }).click();
  await shows("first");
  assert.deepEqual(await names(), ["first"]);
  await page.getByRole("button", { name: "Back to now" }).click();
  await page.getByRole("listbox", { name: "Members", exact: true }).getByRole("option", { name: "guest-0" }).waitFor();
});

look("the service: plots, streams, who leads, and why it is not well", async (tab) => {
  await tab.go("#/service");
  await tab.region("Readiness").getByText("Ready", { exact: true }).waitFor();
  await tab.region("Readiness").getByText("this instance").waitFor();
  await tab.region("Streams").getByRole("row", { name: /ROOM_MESSAGES/ }).waitFor();
  // Something for the plots.
  await caller.ask("enter", { roomID: "park", userID: "bob" });
  let over = false;
  const busy = (async () => {
    for (let i = 0; !over; i++) {
      const rest = i % 40 < 10 ? 30 : 5; // it comes and goes, as people do
      await caller.all(rest, (k) => caller.ask("send", { roomID: "park", userID: "bob", type: "custom", data: `${k}` }), 8);
      await caller.all(8, (k) => caller.ask("enter", { roomID: "park", userID: `walker-${k}` }));
      await caller.all(4, (k) => caller.ask("leave", { roomID: "park", userID: `walker-${k}` }));
      await caller.ask("get", { roomID: "park" });
    }
  })();
  try {
    await tab.page.getByRole("img", { name: /^Commands a second, now: .*send [1-9]/ }).waitFor();
    await tab.region("Commands").getByRole("row", { name: /^send/ }).waitFor();
    await tab.accessible("the service");
    if (process.env.PICTURES) await tab.page.waitForTimeout(40_000); // a picture is of some time
    await picture(tab, "service");
  } finally {
    over = true;
    await busy;
  }
});

for (const [scheme, width] of [["light", 1280], ["dark", 1280], ["light", 360], ["dark", 360]]) {
  look(`nothing for axe to find: ${scheme}, ${width} pixels wide`, async (tab) => {
    const { page } = tab;
    await tab.go("#/rooms");
    await page.getByRole("link", { name: "hall", exact: true }).waitFor();
    await tab.accessible("the rooms");
    if (width < 500) await picture(tab, `narrow-${scheme}`);
    await page.getByRole("button", { name: "Make a room…" }).click();
    await tab.dialog("Make a room").waitFor();
    await tab.accessible("making a room");
    await page.keyboard.press("Escape");
    await tab.visit("#/rooms/lobby");
    await tab.region("Access").getByText("mallory").waitFor();
    await tab.accessible("a room");
    if (width > 500 && scheme === "dark") await picture(tab, "room-dark");
    await page.getByRole("option", { name: /alice/ }).click();
    await tab.dialog("alice").waitFor();
    await tab.accessible("a member");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Event before" }).click();
    await page.getByText(/members? then/).waitFor();
    await tab.accessible("a room as it was");
    await tab.visit("#/service");
    await tab.region("Streams").getByRole("row", { name: /ROOM_MESSAGES/ }).waitFor();
    await tab.accessible("the service");
    await tab.visit("#/users");
    await tab.region("Blocked users").waitFor();
    await tab.accessible("users");
    tab.away = true; // the browser writes down that there is none
    await tab.visit("#/rooms/nothing%20here");
    await tab.text("There is no such room");
    await tab.accessible("no room");
  }, { scheme, width });
}

look("the switch of colours holds", async (tab) => {
  await tab.go("#/users");
  const { page } = tab;
  const back = () => page.evaluate(() => getComputedStyle(document.body).color);
  const light = await back();
  await page.getByRole("button", { name: /Colours: as the system/ }).click();
  await page.getByRole("button", { name: /Colours: light/ }).click();
  await page.getByRole("button", { name: /Colours: dark/ }).waitFor();
  assert.notEqual(await back(), light);
  await page.reload();
  await page.getByRole("button", { name: /Colours: dark/ }).waitFor();
  assert.notEqual(await back(), light);
});

look("a room that storms does not hold up the page", async (tab, t) => {
  await caller.ask("enter", { roomID: "storm", userID: "wind" });
  await tab.go("#/rooms/storm");
  const { page } = tab;
  await page.getByRole("option", { name: "wind" }).waitFor();
  let over = false, sent = 0;
  const began = performance.now();
  const storm = caller.all(Infinity, async (i) => {
    if (over) throw new Error("over");
    await caller.ask("send", { roomID: "storm", userID: "wind", type: "text", data: `gust ${i}` });
    sent++;
  }, 100).catch((err) => assert.equal(err.message, "over"));
  await tab.until(() => /[1-9][\d,]{2,} events a second/.test(document.querySelector("[aria-label=Timeline]").textContent));
  // While it storms, the page does what is asked of it.
  await page.getByLabel("As the member").fill("wind");
  await page.getByRole("option", { name: "wind" }).click();
  await tab.dialog("wind").waitFor();
  await page.keyboard.press("Escape");
  await caller.ask("enter", { roomID: "storm", userID: "late" });
  await page.getByRole("option", { name: "late" }).waitFor();
  await tab.visit("#/rooms?sort=rate");
  await tab.until(() => document.querySelector("table.rooms tbody th a")?.textContent === "storm");
  await tab.visit("#/rooms/storm");
  await page.getByRole("option", { name: "late" }).waitFor();
  const rows = await page.locator(".event").count();
  over = true;
  await storm;
  t.diagnostic(`${(sent / ((performance.now() - began) / 1000)).toFixed(0)} messages a second; ${rows} rows`);
  assert.ok(rows <= 200);
  await caller.ask("send", { roomID: "storm", userID: "wind", type: "text", data: "calm" });
  await tab.until(() => document.querySelector(".event q")?.textContent === "calm"); // all of it has come
});

look("100,000 rooms: pages, order, search", async (tab, t) => {
  const before = (await caller.ask("list", { count: 1, prefix: "r-" })).roomList.length;
  assert.equal(before, 0);
  const made = await timed(() => caller.all(rooms, (i) => caller.ask("create", { roomID: `r-${String(i).padStart(6, "0")}`, userID: `maker-${i % 100}` })));
  t.diagnostic(`${rooms} rooms made in ${(made / 1000).toFixed(0)} s`);
  await tab.go("#/rooms");
  const { page } = tab;
  const leads = (id) => tab.until((want) => document.querySelector("table.rooms tbody th a")?.textContent === want, id);
  await leads("hall"); // by members
  await tab.until((least) => Number(document.querySelector(".pages").textContent.match(/of ([\d,]+) rooms/)?.[1].replaceAll(",", "")) >= least, rooms);
  await picture(tab, "rooms");
  const slowest = {};
  const step = async (what, act, until) => {
    const took = await timed(async () => {
      await act();
      await until();
    });
    slowest[what] = Math.max(slowest[what] ?? 0, took);
  };
  await page.getByRole("searchbox").fill("r-0999");
  await page.getByRole("combobox", { name: "Rooms" }).selectOption("prefix");
  await page.locator("th button.sort", { hasText: "Room" }).click();
  await leads("r-099900");
  await tab.until(() => document.querySelector(".pages").textContent.includes("of 100 rooms"));
  await step("next", () => page.getByRole("button", { name: "Next" }).click(), () => leads("r-099950"));
  assert.ok(await page.getByRole("button", { name: "Next" }).isDisabled());
  await page.getByRole("searchbox").fill("r-");
  await leads("r-000000");
  for (let i = 1; i <= 10; i++) await step("next", () => page.getByRole("button", { name: "Next" }).click(), () => leads(`r-${String(i * 50).padStart(6, "0")}`));
  await step("previous", () => page.getByRole("button", { name: "Previous" }).click(), () => leads("r-000450"));
  await step("order", () => page.locator("th button.sort", { hasText: "Room" }).click(), () => leads(`r-0${rooms - 1}`));
  await page.getByRole("searchbox").fill("no such room");
  await tab.text("No room matches.");
  await page.getByRole("searchbox").fill("r-077777");
  await leads("r-077777");
  await page.getByRole("link", { name: "r-077777" }).click();
  await page.getByRole("option", { name: "maker-77" }).waitFor();
  await page.goBack();
  await leads("r-077777"); // where it was
  for (const [what, took] of Object.entries(slowest)) t.diagnostic(`${what}: ${took.toFixed(0)} ms at most`);
  for (const took of Object.values(slowest)) assert.ok(took < 10_000, JSON.stringify(slowest));
});

look("a restart of roomd under the page", async (tab) => {
  const { page } = tab;
  await tab.go("#/rooms/lobby");
  const list = page.getByRole("listbox", { name: "Members" });
  await list.getByRole("option", { name: /alice/ }).waitFor();
  tab.away = true;
  await service.kill("SIGKILL");
  await page.getByText("roomd does not answer").first().waitFor();
  await tab.accessible("a page without roomd");
  await Promise.all([page.getByText("roomd is back").waitFor(), service.start()]); // it says so for a while only
  tab.away = false;
  await caller.ask("enter", { roomID: "lobby", userID: "after" });
  await list.getByRole("option", { name: /after/ }).waitFor();
  await caller.ask("send", { roomID: "lobby", userID: "after", type: "text", data: "we are back" });
  await tab.region("Timeline").getByText("we are back").waitFor();
  await tab.visit("#/service");
  await page.getByRole("img", { name: /^Commands a second/ }).waitFor();
  tab.away = true;
  await service.kill();
  await page.getByText("roomd does not answer").first().waitFor();
  await Promise.all([page.getByText("roomd is back").waitFor(), service.start()]); // it says so for a while only
  tab.away = false;
  await tab.region("Readiness").getByText("Ready", { exact: true }).waitFor();
});

test("with a password", { timeout: 1_200_000 }, async (t) => {
  const password = await secret("open sesame 4711");
  const guarded = await inspected({ password });
  const back = await Caller.to(guarded.url);
  await back.ask("enter", { roomID: "vault", userID: "alice" });
  const tab = await Tab.in(browser, guarded.page);
  const { page } = tab;
  const field = page.getByLabel("Password");
  const logIn = async (text) => {
    await field.fill(text);
    await page.keyboard.press("Enter");
  };
  await tab.go("#/rooms/vault");
  await field.waitFor();
  await tab.accessible("the door");
  await picture(tab, "login");
  tab.away = true; // the browser writes down refusals
  await logIn("open barley");
  await page.getByRole("alert").filter({ hasText: /./ }).waitFor();
  assert.equal(await field.inputValue(), "");
  await tab.accessible("the door, closed");
  // Failed logins are slowed, so a right one may have to wait.
  for (;;) {
    await logIn(password.text);
    if (await Promise.race([page.getByRole("option", { name: "alice" }).waitFor().then(() => true), page.locator(".door form button:not(:disabled)").waitFor().then(() => page.waitForTimeout(500))])) break;
  }

  await t.test("an action works, and not after logout in another tab", async () => {
    tab.away = false;
    await page.getByRole("option", { name: "alice" }).click();
    await tab.dialog("alice").getByRole("button", { name: "Make a host…" }).click();
    await page.getByRole("button", { name: "Change the role" }).click();
    await page.getByRole("option", { name: /alice.*host/s }).waitFor();
    const other = await tab.context.newPage();
    await other.goto(guarded.page);
    await other.getByRole("button", { name: "Log out" }).click();
    await other.getByLabel("Password").waitFor();
    tab.away = true;
    await tab.text("The session has ended. Log in again.");
    await other.close();
    await logIn(password.text);
    await page.getByRole("option", { name: /alice.*host/s }).waitFor(); // where it was
  });

  await t.test("a restart ends the session, and the page says so", async () => {
    await guarded.kill("SIGKILL");
    await page.getByText("roomd does not answer").first().waitFor();
    await guarded.start();
    await tab.text("The session has ended. Log in again.");
    await logIn(password.text);
    await page.getByRole("option", { name: /alice.*host/s }).waitFor();
  });
  await page.getByRole("button", { name: "Log out" }).click();
  await field.waitFor();
  tab.away = false;
  await tab.close();
});
