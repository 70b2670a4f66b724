// A browser that looks at the inspector, and complains about what a page must not do.

import assert from "node:assert/strict";
import { mkdtemp, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** How long something may take that is not measured here; only what hangs takes longer. */
export const patience = 60_000;

const launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});

export let browser; // while the tests of a file run

before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** A test in a tab of its own, at what address returns; what it looked like is kept if it fails. */
export function look(name, address, body, options) {
  test(name, { timeout: 1_200_000 }, async (t) => {
    const tab = await Tab.in(browser, await address(), options);
    try {
      await body(tab, t);
      await tab.close();
    } catch (err) {
      const path = join(await mkdtemp(join(tmpdir(), "natsrooms-page-")), "page.png");
      await tab.page.screenshot({ path }).catch(() => {});
      t.diagnostic(`what it looked like is in ${path}`);
      await tab.context.close();
      throw err;
    }
  });
}

/** A tab with the inspector. */
export class Tab {
  complaints = [];
  away = false; // roomd is, and the browser may say so

  static async in(browser, address, { width = 1280, height = 900, scheme = "light" } = {}) {
    const tab = new Tab();
    tab.context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, reducedMotion: "reduce" });
    tab.context.setDefaultTimeout(patience);
    tab.address = address;
    const page = (tab.page = await tab.context.newPage());
    const complain = (text) => tab.away || tab.complaints.push(text);
    await page.exposeFunction("__complain", complain);
    await page.addInitScript(() => addEventListener("securitypolicyviolation", (event) => window.__complain(`${event.violatedDirective}: ${event.blockedURI}`)));
    page.on("pageerror", (err) => tab.complaints.push(err.message));
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && complain(message.text()));
    page.on("request", (request) => request.url().startsWith(address) || tab.complaints.push(`it asked for ${request.url()}`));
    return tab;
  }

  async go(hash = "") {
    await this.page.goto(this.address + hash);
  }

  /** Another page, by the address alone. */
  async visit(hash) {
    await this.page.evaluate((to) => { location.hash = to; }, hash);
  }

  text(text) {
    return this.page.getByText(text).first().waitFor();
  }

  region(name) {
    return this.page.getByRole("region", { name, exact: true });
  }

  dialog(name) {
    return this.page.getByRole("dialog", { name });
  }

  /** Waits until a condition on the document is true. */
  until(condition, arg) {
    return this.page.waitForFunction(condition, arg);
  }

  /** What axe finds wrong with what is seen now. */
  async accessible(what) {
    if (!(await this.page.evaluate(() => "axe" in window))) await this.page.evaluate(axeSource);
    const { violations } = await this.page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    assert.deepEqual(violations.flatMap((v) => v.nodes.map((n) => `${what}: ${v.id}: ${n.target.join(" ")}: ${n.failureSummary}`)), []);
    const wide = await this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${what}: the page is ${wide} pixels too wide`);
  }

  async close() {
    assert.deepEqual(this.complaints, []);
    await this.context.close();
  }
}
