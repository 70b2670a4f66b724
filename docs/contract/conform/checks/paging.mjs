export const about = "long answers come in pages: all of it, each once, in order";

/** All pages of a verb. */
async function pages(caller, verb, body, most = 50) {
  const all = [];
  for (let nextFlag = ""; all.length === 0 || nextFlag; ({ nextFlag } = all.at(-1))) {
    if (all.length === most) throw new Error(`${verb} has more than ${most} pages; it does not end`);
    all.push(await caller.ask(verb, { ...body, ...(nextFlag && { nextFlag }) }));
  }
  return all;
}

export const checks = {
  async "members: oldest first, and those who join or leave meanwhile do not disturb it"(t) {
    const roomID = await t.room();
    const users = t.users("a", "b", "c", "d", "e");
    for (const u of users) await u.ask("enter", { roomID });
    const whole = await pages(t.back, "members", { roomID, count: 2, sync: true });
    t.equal("sizes of pages", whole.map((p) => p.memberList.length), [2, 2, 1]);
    t.equal("the members", whole.flatMap((p) => p.memberList.map((m) => m.userID)), users.map((u) => u.userID));
    t.equal("memberCount on each page", whole.map((p) => p.memberCount), [5, 5, 5]);
    const first = await t.back.ask("members", { roomID, count: 2, sync: true });
    await users[1].ask("leave", { roomID });
    const late = t.user("late");
    await late.ask("enter", { roomID });
    const rest = await pages(t.back, "members", { roomID, count: 10, nextFlag: first.nextFlag, sync: true });
    t.equal("the members after the first page", rest.flatMap((p) => p.memberList.map((m) => m.userID)), [...users.slice(2), late].map((u) => u.userID));
  },

  async "members: a page with exactly all of them is the last one"(t) {
    const roomID = await t.room();
    for (const u of t.users("a", "b")) await u.ask("enter", { roomID });
    t.equal("nextFlag", (await t.back.ask("members", { roomID, count: 2, sync: true })).nextFlag, "");
  },

  async "list: by prefix, each room once"(t) {
    const ids = [];
    for (const of of ["p1", "p2", "p3", "p4", "q1"]) ids.push(await t.room(of));
    for (const roomID of ids) await t.back.ask("create", { roomID });
    const all = await pages(t.back, "list", { prefix: t.name("p"), count: 3, sync: true });
    t.equal("sizes of pages", all.map((p) => p.roomList.length), [3, 1]);
    t.equal("the rooms", all.flatMap((p) => p.roomList.map((r) => r.roomID)).sort(), ids.slice(0, 4));
  },

  async "history of facts: forward, page by page"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const { instanceID } = await alice.ask("create", { roomID });
    for (let i = 0; i < 6; i++) await alice.ask("setAttributes", { roomID, set: { n: `${i}` } });
    const seen = [];
    for (let after = 0, page; !page || page.nextFlag; after = seen.at(-1)) {
      page = await t.back.ask("history", { roomID, instanceID, afterSequence: after, count: 3, sync: true });
      t.like("the page", page, { complete: true, sequence: 7, instanceID });
      t.ok("a page has 1 to 3 events", page.events.length > 0 && page.events.length <= 3, page.events.length);
      seen.push(...page.events.map((e) => e.data.sequence));
    }
    t.equal("the sequences", seen, [1, 2, 3, 4, 5, 6, 7]);
    t.like("after the newest", await t.back.ask("history", { roomID, instanceID, afterSequence: 7, sync: true }), { events: [], nextFlag: "", complete: true });
  },

  async "history of messages: forward and backward give the same"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const { instanceID } = await alice.ask("create", { roomID });
    const texts = ["1", "2", "3", "4", "5", "6", "7"];
    for (const data of texts) await alice.ask("send", { roomID, type: "text", data });
    const head = (await t.back.ask("history", { roomID, instanceID, afterMessageSeq: 0 })).messageSeq;
    const forward = [];
    for (let after = 0, page; !page || page.nextFlag; after = forward.at(-1).messageSeq) {
      page = await t.back.ask("history", { roomID, instanceID, afterMessageSeq: after, count: 3 });
      t.like("the page", page, { complete: true, messageSeq: head });
      forward.push(...page.events.map((e) => e.data));
    }
    const backward = [];
    for (let before = 0, page; !page || page.nextFlag; before = backward[0].messageSeq) {
      page = await t.back.ask("history", { roomID, instanceID, beforeMessageSeq: before, count: 3 });
      t.like("the page", page, { complete: true, messageSeq: head });
      t.ok("a page has 1 to 3 events", page.events.length > 0 && page.events.length <= 3, page.events.length);
      backward.unshift(...page.events.map((e) => e.data)); // oldest first on each page
    }
    t.equal("forward", forward.map((m) => m.data), texts);
    t.equal("backward", backward, forward);
  },

  async "history stays under 256 KiB: a page ends early, and the next goes on"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const { instanceID } = await alice.ask("create", { roomID });
    for (let i = 0; i < 14; i++) await alice.ask("send", { roomID, type: "text", data: `${i} `.padEnd(30_000, "x") });
    const seen = [];
    let count = 0;
    for (let after = 0, page; !page || page.nextFlag; after = seen.at(-1).messageSeq, count++) {
      page = await t.back.ask("history", { roomID, instanceID, afterMessageSeq: after });
      seen.push(...page.events.map((e) => e.data));
    }
    t.ok("more than one page", count > 1, count);
    t.equal("the messages", seen.map((m) => m.data.split(" ")[0]), Array.from({ length: 14 }, (_, i) => `${i}`));
  },
};
