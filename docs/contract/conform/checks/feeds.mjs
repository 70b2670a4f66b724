import { nuid } from "@nats-io/nats-core";
import { token } from "../lib/wire.mjs";

export const about = "what end users hear, and what they do not";
export const needs = ({ users }) => users;
export const without = "which needs --users: two end users of a service that has feeds";

/** A room, alice and bob as end users in it, and what they hear. */
export async function two(t, config) {
  const roomID = await t.room(nuid.next());
  const [alice, bob] = [await t.endUser(0), await t.endUser(1)];
  await t.back.ask("create", { roomID, config });
  const hears = async (user) => t.listen(user.nc, `room.feed.${token(user.userID)}.${token(roomID)}`);
  const [hers, his] = [await hears(alice), await hears(bob)];
  await alice.ask("enter", { roomID });
  await bob.ask("enter", { roomID });
  const say = (data) => bob.ask("send", { roomID, type: "text", data });
  const hear = (heard, data) => heard.event("message.sent", { data });
  return { roomID, alice, bob, hers, his, say, hear };
}

/** After this, whatever was sent to alice before has arrived: bob has heard two more copies. */
async function passed(alice, say, his) {
  for (const data of [`fence ${nuid.next()}`, `fence ${nuid.next()}`]) {
    await say(data);
    await his.event("message.sent", { data });
  }
  await alice.nc.flush();
}

export const checks = {
  async "a member hears the room on its own feed: the same events, in order, from its joining on"(t) {
    const { roomID, alice, bob, hers, say, hear } = await two(t);
    t.equal("subscribe", (await alice.ask("get", { roomID })).subscribe, [`room.feed.${token(alice.userID)}.${token(roomID)}`]);
    await say("one");
    await bob.ask("setAttributes", { roomID, set: { a: "1" } });
    await hers.event("room.attributes.changed");
    await say("two");
    await hear(hers, "two");
    const facts = hers.events.filter((e) => e.name !== "message.sent");
    t.equal("the facts", facts.map((e) => [e.data.sequence, e.name]), [[2, "member.joined"], [3, "member.joined"], [4, "room.attributes.changed"]]);
    for (const fact of facts) t.equal(`fact ${fact.data.sequence}, as back ends hear it`, fact.id, (await t.heard(roomID).at(fact.data)).id);
    const [first, second] = hers.of("message.sent");
    t.equal("the messages", [first.data.data, second.data.data], ["one", "two"]);
    t.equal("Nats-Last-Sequence of the second", second.headers.get("Nats-Last-Sequence"), first.headers.get("Nats-Sequence"));
  },

  async "a user who has left or was kicked hears nothing more; its own leaving is the last"(t) {
    for (const out of ["leave", "kick"]) {
      const { roomID, alice, hers, his, say, hear } = await two(t);
      await say("before");
      await hear(hers, "before");
      if (out === "leave") await alice.ask("leave", { roomID });
      else await t.back.ask("kick", { roomID, userIDs: [alice.userID] });
      await passed(alice, say, his);
      t.equal(`the last that is heard after a ${out}`, hers.events.at(-1).name, "member.left");
      t.equal("the messages that are heard", hers.of("message.sent").length, 1);
      await t.back.ask("destroy", { roomID });
      await t.heard(roomID).event("room.destroyed");
    }
  },

  async "NOT_ALLOWED: reads of a members-only room by somebody who is not in it"(t) {
    const alice = await t.endUser(0);
    const roomID = await t.room();
    const { instanceID } = await t.user("x").ask("enter", { roomID });
    for (const [verb, body] of [["get", {}], ["members", {}], ["count", {}], ["memberOf", { userIDs: ["x"] }], ["history", { instanceID, afterSequence: 0 }], ["history", { instanceID, afterMessageSeq: 0 }]]) {
      await alice.refused("NOT_ALLOWED", verb, { roomID, ...body });
    }
    await alice.ask("enter", { roomID });
    t.equal("count once she is in", (await alice.ask("count", { roomID, sync: true })).memberCount, 2);
    await alice.ask("leave", { roomID });
    await alice.refused("NOT_ALLOWED", "count", { roomID, sync: true });
  },

  async "an open room is heard and read by everybody, before joining and after leaving"(t) {
    const [alice, bob] = [await t.endUser(0), await t.endUser(1)];
    const roomID = await t.room();
    const { instanceID } = await t.back.ask("create", { roomID, config: { delivery: "open" } });
    t.equal("subscribe", (await alice.ask("get", { roomID, sync: true })).subscribe, [`room.open.${token(roomID)}`]);
    const heard = await t.listen(alice.nc, `room.open.${token(roomID)}`);
    await bob.ask("enter", { roomID });
    await heard.event("member.joined");
    await bob.ask("send", { roomID, type: "text", data: "hello" });
    await heard.event("message.sent", { data: "hello" });
    t.equal("messages that are read", (await alice.ask("history", { roomID, instanceID, afterMessageSeq: 0 })).events.map((e) => e.data.data), ["hello"]);
  },

  async "NOT_ALLOWED: a listed room lets in those on its list, where its creator is, and whom a back end brings"(t) {
    const [alice, bob] = [await t.endUser(0), await t.endUser(1)];
    const [roomID, side] = [await t.room(), await t.room("side")];
    await alice.ask("create", { roomID, config: { access: "listed" } });
    await bob.ask("enter", { roomID: side });
    for (const verb of ["join", "enter"]) await bob.refused("NOT_ALLOWED", verb, { roomID });
    await bob.refused("NOT_ALLOWED", "switch", { fromRoomID: side, toRoomInfo: { roomID } });
    await t.back.ask("setAccess", { roomID, allow: [bob.userID] });
    await bob.ask("join", { roomID });
    await t.back.ask("setAccess", { roomID, disallow: [bob.userID] });
    t.equal("members stay when the list changes", (await alice.ask("count", { roomID, sync: true })).memberCount, 2);
    await bob.ask("leave", { roomID });
    await bob.refused("NOT_ALLOWED", "join", { roomID });
    t.equal("one whom a back end brings", (await t.back.ask("join", { roomID, ...bob.who })).room.memberCount, 2);
    const { config } = await t.back.ask("setAccess", { roomID, disallow: [alice.userID] });
    t.equal("the list without its creator", config.allowedUsers ?? [], []);
    await alice.ask("leave", { roomID });
    await alice.refused("NOT_ALLOWED", "join", { roomID });
  },

  async "NOT_ALLOWED: a room by token lets in users whose token names it"(t) {
    const [alice, bob] = [await t.endUser(0), await t.endUser(1)];
    const { rooms } = t.deployment.users[0];
    t.ok("the first user of --users has rooms that its token names", rooms?.length > 0, t.deployment.users[0].userID);
    const roomID = await t.room("", { exactly: rooms[0] });
    await t.back.answer("destroy", { roomID });
    await t.back.ask("create", { roomID, config: { access: "token" } });
    await bob.refused("NOT_ALLOWED", "join", { roomID });
    t.equal("who is in", (await alice.ask("join", { roomID })).room.memberCount, 1);
    const other = await t.room("other");
    await t.back.ask("create", { roomID: other, config: { access: "token" } });
    await alice.refused("NOT_ALLOWED", "enter", { roomID: other });
  },

  async "the server does not let a user act for others, hear others, or publish an event"(t) {
    const bob = await t.endUser(1);
    const alice = await t.endUser(0, { noEcho: true }); // of her own, since the server may end it
    const roomID = await t.room();
    await bob.ask("enter", { roomID });
    const refused = [];
    (async () => {
      for await (const { type, error } of alice.nc.status()) if (type === "error") refused.push(error.message);
    })();
    const others = [`room.evt.${token(roomID)}`, `room.msg.${token(roomID)}`, `room.feed.${token(bob.userID)}.${token(roomID)}`, `room.state.${token(bob.userID)}.*`, "room.>", `_INBOX_${token(bob.userID)}.>`];
    for (const subject of others) {
      const err = await new Promise((resolve) => {
        alice.nc.subscribe(subject, { callback: (e) => e && resolve(e) });
        alice.nc.flush().then(() => alice.nc.flush()).then(() => resolve(undefined));
      });
      t.ok(`subscribing to ${subject} is refused`, /permission/i.test(err?.message), `${err?.message}`);
    }
    const [evt, cmd] = [`room.evt.${token(roomID)}`, `room.cmd.leave.${token(bob.userID)}`];
    for (const subject of [evt, cmd, "room.cmd.destroy", `room.journal.${token(roomID)}`]) {
      refused.length = 0;
      alice.nc.publish(subject, JSON.stringify({ roomID, sessionID: bob.who.sessionID }));
      await alice.nc.flush();
      await alice.nc.flush();
      t.ok(`publishing on ${subject} is refused`, refused.some((m) => /permission/i.test(m) && m.includes(subject)), refused);
    }
    t.equal("bob is still in", (await bob.ask("count", { roomID, sync: true })).memberCount, 1);
    t.equal("what back ends heard", t.heard(roomID).facts.map((e) => e.name), ["room.created"]);
  },

  async "a user who repeats a request after leaving gets its outcome, and nothing about the room but its ID"(t) {
    const { roomID, alice } = await two(t);
    await alice.ask("leave", { roomID });
    const body = { roomID, requestID: nuid.next() };
    const first = await alice.ask("join", body);
    await alice.ask("leave", { roomID });
    const again = await alice.ask("join", body);
    t.like("the repeat", again, { sequence: first.sequence, instanceID: first.instanceID });
    t.like("its room", again.room, { roomID, memberCount: 0, attributes: {} });
  },
};
