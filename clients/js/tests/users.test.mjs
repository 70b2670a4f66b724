// End users with tokens hear rooms on feeds, or on an open room's subject, and miss nothing either.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Client, token } from "../src/index.js";
import { backEnd, connection, intercept, lose, Person, roomdWithTokens } from "./harness.mjs";

const { url, tokenOf } = await roomdWithTokens();
const userOf = async (user) => connection(url, { token: await tokenOf(user), inboxPrefix: `_INBOX_${token(user)}` });
const service = async () => backEnd(await connection(url, { token: await tokenOf("back end", "--admin") }));

describe("end users", { concurrency: true }, () => {
  for (const [delivery, subject] of [["members", "room.feed.alice.members"], ["open", "room.open.open"]]) {
    test(`a room whose delivery is ${delivery}`, async () => {
      const trusted = await service();
      await trusted.create({ roomID: delivery, config: { delivery } });
      const nc = await userOf("alice");
      const subjects = new Set();
      let deaf = false;
      let lost = 0;
      lose(nc, (msg) => void (msg.subject.startsWith("room.state.") || subjects.add(msg.subject)));
      lose(nc, (msg) => deaf || (/two|"userID":"bob"/.test(msg.string()) && ++lost > 0));
      const alice = await Person.in(nc, delivery, "alice", { leaseSeconds: 5 });
      const bob = await Person.in(await userOf("bob"), delivery, "bob");
      for (const text of ["one", "two", "three"]) await bob.says(text);
      await alice.hears("one", "two", "three");
      const carol = await Person.in(await userOf("carol"), delivery, "carol");
      await alice.sees("alice bob carol");
      assert.ok(lost >= 2);
      assert.deepEqual([...subjects], [subject]);

      deaf = true;
      await carol.leave();
      await bob.says("the last");
      let renewals = 0;
      intercept(nc, "renew", (send) => (renewals++, send()));
      await alice.sees("alice bob");
      await alice.hears("one", "two", "three", "the last");
      assert.equal(renewals, 1);
      deaf = false;

      await nc.reconnect();
      await bob.says("and on");
      await alice.hears("one", "two", "three", "the last", "and on");
      await trusted.kick({ roomID: delivery, userIDs: ["alice"], reason: "too loud" });
      assert.equal((await alice.told("disconnected kickedOut")).reasonText, "too loud");
      await bob.sees("bob");
      await bob.says("without alice");
      await bob.hears("one", "two", "three", "the last", "and on", "without alice");
      assert.deepEqual([alice.fresh, alice.lost], [["start"], []]);
      if (delivery === "open") return alice.hears("one", "two", "three", "the last", "and on", "without alice");
      await alice.until("the end of what it may see", () => alice.ended.watch && alice.ended.messages);
      assert.deepEqual([alice.ended.watch.code, alice.ended.messages.code], ["NOT_ALLOWED", "NOT_ALLOWED"]);
      assert.equal(alice.facts.at(-1).type, "io.natsrooms.member.left.v1");
      assert.ok(!alice.heard.includes("without alice"));
    });
  }

  test("a command that the server does not let through had no effect", async () => {
    const nc = await userOf("mallory");
    await assert.rejects(new Client(nc, { userID: "alice" }).enter({ roomID: "forged" }), { code: "NOT_ALLOWED", outcome: "none" });
  });

  test("a device that has left, while another one is in, hears nothing that lists only the other", async () => {
    const nc = await userOf("alice");
    const phone = await Person.in(nc, "two devices", "alice");
    const web = await Person.in(await userOf("alice"), "two devices", "alice", { sessionID: "web" });
    const bob = await Person.in(await userOf("bob"), "two devices", "bob");
    await bob.says("to both");
    for (const device of [phone, web]) await device.hears("to both");
    await phone.leave();
    await bob.says("to the web");
    await web.hears("to both", "to the web");
    await phone.client.check();
    await nc.flush();
    assert.deepEqual(phone.heard, ["to both"]);
  });
});
