import assert from "node:assert/strict";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { backEnd, cable, connection, file, Person, roomd } from "../../../clients/js/tests/harness.mjs";

const { url, ws } = await roomd();
const pages = await mkdtemp(join(tmpdir(), "natsrooms-react-"));
let browser;

// The page that npm run bundle has made, and one for development, in which StrictMode makes every
// component appear twice.
before(async () => {
  await copyFile(file("examples/react/index.html"), join(pages, "index.html"));
  await build({
    entryPoints: [file("examples/react/src/main.jsx")], outfile: join(pages, "dist/main.js"),
    bundle: true, jsx: "automatic", jsxDev: true, define: { "process.env.NODE_ENV": '"development"' },
  });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
});
after(async () => {
  await browser?.close();
  await rm(pages, { recursive: true, force: true });
});

for (const [kind, page] of [["built", file("examples/react/index.html")], ["in development", join(pages, "index.html")]]) {
  const [lobby, kitchen] = [`lobby ${kind}`, `kitchen ${kind}`];

  /** A tab of a user; what it complains about is kept. */
  const tab = async (t, user, server = ws, rooms = [lobby, kitchen]) => {
    const tab = await browser.newPage();
    tab.setDefaultTimeout(120_000);
    t.after(() => tab.close());
    tab.complaints = [];
    tab.on("pageerror", (err) => tab.complaints.push(err.message));
    tab.on("console", (message) => message.type() === "error" && tab.complaints.push(message.text()));
    await tab.goto(`${pathToFileURL(page)}?user=${user}&server=${server}&rooms=${rooms}`);
    return tab;
  };
  const items = (tab, label, ...want) => tab.waitForFunction(
    ([label, want]) => [...document.querySelectorAll(`[aria-label="${label}"] > li`)].map((li) => li.textContent).join() === want,
    [label, want.join()],
  );
  const status = (tab, text) => tab.getByRole("status").filter({ hasText: text }).waitFor();

  test(`a room in a component, ${kind}`, async (t) => {
    const bob = await Person.in(await connection(url), lobby, "bob");
    const ann = await tab(t, "ann");
    await status(ann, /^in$/);
    await items(ann, "Members", "bob", "ann");
    await ann.getByLabel("Message", { exact: true }).fill("hello");
    await ann.getByRole("button", { name: "Send" }).click();
    await bob.hears("hello");
    await bob.says("hello ann");
    await ann.getByText("hello ann").waitFor();

    // Another room: the first one is left, and comes back with what was said there.
    await ann.getByRole("button", { name: kitchen }).click();
    await bob.sees("bob");
    await status(ann, /^in$/);
    await items(ann, "Members", "ann");
    await items(ann, "Messages");
    await ann.getByRole("button", { name: lobby }).click();
    await bob.sees("ann bob");
    await ann.getByText("hello ann").waitFor();

    // What is deleted disappears.
    await bob.hears("hello", "hello ann");
    const { messageSeq } = bob.said.at(-1).data;
    await bob.client.deleteMessages({ roomID: lobby, messageSeqs: [messageSeq] });
    await ann.getByText("hello ann").waitFor({ state: "detached" });

    // Whoever is put out reads why.
    await backEnd(await connection(url)).kick({ roomID: lobby, userIDs: ["ann"], reason: "enough for today" });
    await status(ann, "out: enough for today");
    assert.ok(await ann.getByRole("button", { name: "Send" }).isDisabled());
    assert.deepEqual(ann.complaints, []);
  });

  test(`a connection that breaks, ${kind}`, async (t) => {
    const line = await cable(ws);
    const roomID = `breaks ${kind}`;
    const ann = await tab(t, "ann", line.url, [roomID]);
    await status(ann, /^in$/);
    const bob = await Person.in(await connection(url), roomID, "bob");
    await items(ann, "Members", "ann", "bob");
    line.cut();
    await status(ann, "reconnecting");
    await bob.says("said meanwhile");
    await bob.leave();
    line.mend();
    await status(ann, /^in$/);
    await items(ann, "Members", "ann");
    await ann.getByText("said meanwhile").waitFor();
  });

  test(`no server, ${kind}`, async (t) => {
    const ann = await tab(t, "ann", "ws://127.0.0.1:1");
    await ann.getByRole("alert").filter({ hasText: /./ }).waitFor();
  });
}
