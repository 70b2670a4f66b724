import { token } from "../lib/wire.mjs";
import { two } from "./feeds.mjs";

export const about = "one order of what happens and what is said, for every end user (new, as the group before)";
export const needs = ({ users }) => users;
export const without = "which needs --users: two end users of a service that has feeds";

const rounds = 60;

/** Throws if a message comes before its sender has joined or after it has left, as far as that was heard. */
function fromMembers(t, events) {
  const known = new Map(); // who is in, of those whose coming or going was heard
  for (const { name, data } of events) {
    if (name === "message.sent") t.ok(`the sender of "${data.data}" is in when it is heard`, known.get(data.senderUserID) !== false, data);
    else if (name !== "session.left") for (const { userID } of data.memberList ?? []) known.set(userID, name !== "member.left");
  }
}

/** Throws unless each message comes after the fact that it names, and before the next. */
function asItSays(t, events) {
  let sequence;
  for (const { name, data } of events) {
    if (name !== "message.sent") ({ sequence } = data);
    else if (sequence) t.equal(`afterSequence of "${data.data}", which came after fact ${sequence}`, data.afterSequence, sequence);
  }
}

/** Bob says something and leaves, again and again; what alice hears of it. */
async function comeAndGo(t, config) {
  const room = await two(t, config);
  const { roomID, alice, bob, say } = room;
  const hers = config ? await t.listen(alice.nc, `room.open.${token(roomID)}`) : room.hers;
  if (config) await bob.ask("setAttributes", { roomID, set: { begin: "1" } });
  const texts = Array.from({ length: rounds }, (_, i) => `${i}`);
  for (const text of texts) {
    await say(text);
    await bob.ask("leave", { roomID });
    await bob.ask("enter", { roomID });
  }
  await say("end");
  await hers.event("message.sent", { data: "end" });
  return { ...room, hers, texts: [...texts, "end"] };
}

/** How somebody stops hearing the room. */
const ends = {
  destroy: (t, { roomID }) => t.back.ask("destroy", { roomID }),
  leave: (t, { alice, roomID }) => alice.ask("leave", { roomID }),
  kick: (t, { alice, roomID }) => t.back.ask("kick", { roomID, userIDs: [alice.userID] }),
};

const lastWords = Object.fromEntries(Object.entries(ends).map(([how, end]) => [
  `last words: messages that were answered before a ${how} are heard before it`,
  async (t) => {
    for (let i = 0; i < rounds; i++) {
      const room = await two(t);
      const texts = Array.from({ length: 8 }, (_, n) => `${i} ${n}`);
      await Promise.all(texts.map(room.say));
      await end(t, room);
      await room.hers.event("member.left", (d) => d.memberList.some((m) => m.userID === room.alice.userID));
      const heard = room.hers.events.map((e) => e.data.data ?? e.name).slice(-9);
      t.equal(`what was heard last in round ${i + 1}, messages in any order`, [...heard.slice(0, -1).sort(), heard.at(-1)], [...texts, "member.left"]);
      fromMembers(t, room.hers.events);
      await t.back.answer("destroy", { roomID: room.roomID });
      await t.heard(room.roomID).event("room.destroyed");
      [room.hers, room.his].forEach((h) => h.stop());
      t.heard(room.roomID).check();
    }
  },
]));

export const checks = {
  ...lastWords,

  async "no message is heard after its sender's leaving, or before its joining"(t) {
    const { hers, texts } = await comeAndGo(t);
    t.equal("the messages", hers.of("message.sent").map((e) => e.data.data), texts);
    fromMembers(t, hers.events);
  },

  async "each message comes after the fact that its afterSequence names, and before the next"(t) {
    asItSays(t, (await comeAndGo(t)).hers.events);
  },

  async "a message that was sent while somebody was out is not heard by it, though it comes back at once"(t) {
    for (const historyForJoiners of [true, false]) {
      const { roomID, alice, hers, say, hear } = await two(t, { historyForJoiners });
      const { instanceID } = await alice.ask("get", { roomID });
      for (let i = 0; i < rounds; i++) {
        if (i % 2) await alice.ask("leave", { roomID });
        else await t.back.ask("kick", { roomID, userIDs: [alice.userID] });
        await say(`secret ${i}`);
        await alice.ask("enter", { roomID });
      }
      await say("end");
      await hear(hers, "end");
      t.equal("the messages that were heard", hers.of("message.sent").map((e) => e.data.data), ["end"]);
      if (!historyForJoiners) t.equal("the messages that history gives", (await alice.ask("history", { roomID, instanceID, afterMessageSeq: 0 })).events.map((e) => e.data.data), ["end"]);
      await t.back.ask("destroy", { roomID });
      await t.heard(roomID).event("room.destroyed");
      hers.stop();
    }
  },

  async "the order of an open room is the same"(t) {
    const { hers, texts } = await comeAndGo(t, { delivery: "open" });
    t.equal("the messages", hers.of("message.sent").map((e) => e.data.data), texts);
    fromMembers(t, hers.events);
    asItSays(t, hers.events);
  },

  async "history of an ended instance: an end user reads what belongs to its own stays"(t) {
    const { roomID, alice, say } = await two(t);
    const { instanceID } = await alice.ask("get", { roomID });
    await say("while she is in");
    await alice.ask("leave", { roomID });
    await say("while she is out");
    await alice.ask("enter", { roomID });
    await say("while she is in again");
    await t.back.ask("destroy", { roomID });
    await t.heard(roomID).event("room.destroyed");
    const { events } = await alice.ask("history", { roomID, instanceID, afterMessageSeq: 0, sync: true });
    t.equal("the messages", events.map((e) => e.data.data), ["while she is in", "while she is in again"]);
  },

  async "Room-Sessions: each copy says for which of the user's sessions it is"(t) {
    const { roomID, alice, hers, say, hear } = await two(t);
    const of = (e) => (e.headers.get("Room-Sessions") ?? "").split(",").sort();
    const [web, phone] = [alice.who.sessionID, "phone.1"];
    await say("one");
    t.equal("with one session", of(await hear(hers, "one")), [web]);
    await alice.session(phone).ask("enter", { roomID });
    await say("two");
    t.equal("with two", of(await hear(hers, "two")), [web, "phone=2E1"].sort());
    await alice.session(phone).ask("leave", { roomID });
    await say("three");
    t.equal("when the second has left", of(await hear(hers, "three")), [web]);
    t.ok("the leaving session hears its own leaving", of(await hers.event("session.left")).includes("phone=2E1"), of(await hers.event("session.left")));
  },

  async "two commands with one reply subject are both answered"(t) {
    const alice = await t.endUser(0);
    const [a, b] = [await t.room("a"), await t.room("b")];
    const inbox = `_INBOX_${token(alice.userID)}.${t.name("shared")}`;
    const answers = [];
    const both = new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`expected two answers on ${inbox} within 10 s; there came ${answers.length}`)), 10_000);
      alice.nc.subscribe(inbox, { callback: (err, msg) => answers.push(msg) === 2 && (clearTimeout(timer), resolve()) });
    });
    for (const roomID of [a, b]) alice.nc.publish(alice.subject("enter"), JSON.stringify(alice.body({ roomID })), { reply: inbox });
    await both;
  },
};
