// Leases are renewed in time, in node and in a page whose timers hardly run.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { Client } from "../src/index.js";
import { backEnd, connection, intercept, Person, roomd } from "./harness.mjs";

const { url } = await roomd();

/** Counts somebody's renewals on nc from now on. */
function renewing(nc) {
  const renewals = { sent: 0, changed: () => {} };
  intercept(nc, "renew", async (send) => {
    const reply = await send();
    renewals.sent++;
    renewals.changed();
    return reply;
  });
  return renewals;
}

async function staysFor(person, renewals, number) {
  renewals.changed = () => person.changed();
  await person.until(`${number} renewals`, () => renewals.sent >= number);
  const { memberList } = await backEnd(await connection(url)).members({ roomID: person.roomID, sync: true });
  assert.deepEqual(memberList.map((m) => m.userID), ["alice"]);
  assert.equal(person.notices.at(-1).state, "connected");
}

describe("a lease", { concurrency: true }, () => {
  test("is renewed each third", async () => {
    const nc = await connection(url);
    const renewals = renewing(nc);
    const began = performance.now();
    const alice = await Person.in(nc, "stays", "alice", { leaseSeconds: 5 });
    await staysFor(alice, renewals, 4);
    const each = (performance.now() - began) / 4;
    assert.ok(each > 1600, `a renewal each ${each} ms`); // and often enough to stay
  });

  test("is renewed after a reconnect", async () => {
    const nc = await connection(url);
    const renewals = renewing(nc);
    const alice = new Client(nc, { userID: "alice", leaseSeconds: 3600 });
    await alice.enter({ roomID: "again" });
    const renewed = new Promise((resolve) => (renewals.changed = resolve));
    await nc.reconnect();
    await renewed;
    alice.close();
  });

  test("goes on after a renewal that was slow", async () => {
    const nc = await connection(url);
    const renewals = renewing(nc);
    const alice = await Person.in(nc, "slow", "alice", { leaseSeconds: 5 });
    let slow = true;
    intercept(nc, "renew", async (send) => {
      const reply = await send();
      if (slow) await new Promise((resolve) => setTimeout(resolve, 2000)); // the next one is due meanwhile
      slow = false;
      return reply;
    });
    await alice.client.check();
    await staysFor(alice, renewals, 4);
  });

  test("that is shorter now is renewed sooner", async () => {
    const nc = await connection(url);
    const renewals = renewing(nc);
    const alice = await Person.in(nc, "shorter", "alice", { leaseSeconds: 3600 });
    await alice.client.enter({ roomID: "shorter", leaseSeconds: 5 });
    await staysFor(alice, renewals, 1);
  });

  test("ends with the client, and a watcher sees it", async () => {
    const nc = await connection(url);
    const host = await Person.in(await connection(url), "closes", "host");
    const bob = await Person.in(nc, "closes", "bob", { leaseSeconds: 5 });
    await host.sees("bob host");
    bob.client.close();
    await host.sees("host");
    assert.equal(host.of("member.left")[0].memberList[0].reason, "expired");
  });

  test("is not renewed by a client that is in no room", async () => {
    const nc = await connection(url);
    const renewals = renewing(nc);
    const alice = new Client(nc, { userID: "idle", leaseSeconds: 5 });
    after(() => alice.close());
    await alice.enter({ roomID: "idle" });
    await alice.leave({ roomID: "idle" });
    const bob = await Person.in(await connection(url), "other", "alice", { leaseSeconds: 5 });
    const others = renewing(bob.client.nc);
    await staysFor(bob, others, 3);
    assert.equal(renewals.sent, 1);
  });
});

/**
 * The environment of a page in a hidden tab: a document, and timers that fire only with
 * the next tick, each minute in truth, and here each tickMs.
 */
function hiddenPage(tickMs) {
  const document = Object.assign(new EventTarget(), { visibilityState: "hidden" });
  const real = { setTimeout, clearTimeout };
  const waiting = new Map();
  const ticking = setInterval(() => {
    for (const [id, { at, act }] of waiting) if (performance.now() >= at && waiting.delete(id)) act();
  }, tickMs);
  globalThis.document = document;
  globalThis.setTimeout = (act, ms = 0, ...args) => {
    const id = Symbol();
    waiting.set(id, { at: performance.now() + ms, act: () => act(...args) });
    return id;
  };
  globalThis.clearTimeout = (id) => waiting.delete(id) || real.clearTimeout(id);
  return {
    document,
    show() {
      document.visibilityState = "visible";
      document.dispatchEvent(new Event("visibilitychange"));
    },
    leave() {
      clearInterval(ticking);
      Object.assign(globalThis, real);
      delete globalThis.document;
    },
  };
}

describe("a page in a hidden tab", () => {
  test("asks for three minutes, and stays although its timers run once a minute", async () => {
    const nc = await connection(url);
    const page = hiddenPage(2050); // a minute, and three are 6 s
    try {
      const renewals = renewing(nc);
      const client = new Client(nc, { userID: "page" });
      const { leaseSeconds } = await client.enter({ roomID: "default" });
      assert.equal(leaseSeconds, 180);
      client.close();
      const alice = await Person.in(nc, "hidden", "alice", { leaseSeconds: 6 });
      await staysFor(alice, renewals, 4);
      alice.client.close();
    } finally {
      page.leave();
    }
  });

  test("renews as soon as it is seen again", async () => {
    const nc = await connection(url);
    const page = hiddenPage(60_000);
    try {
      const renewals = renewing(nc);
      const alice = new Client(nc, { userID: "alice" });
      await alice.enter({ roomID: "seen" });
      const renewed = new Promise((resolve) => (renewals.changed = resolve));
      page.show();
      await renewed;
      assert.equal(renewals.sent, 1);
      alice.close();
      page.show();
      await alice.count({ roomID: "seen" });
      assert.equal(renewals.sent, 1);
    } finally {
      page.leave();
    }
  });
});
