import { fold } from "../lib/heard.mjs";

export const about = "one order in each room, without gaps, and the same for everybody";

const numbers = (n) => Array.from({ length: n }, (_, i) => i);

export const checks = {
  async "fifty users enter at once: one room, one creator, no number twice"(t) {
    const roomID = await t.room();
    const users = numbers(50).map((i) => t.user(`user${i}`));
    const replies = await Promise.all(users.map((u) => u.ask("enter", { roomID })));
    t.equal("how many created it", replies.filter((r) => r.created).length, 1);
    t.equal("instances", new Set(replies.map((r) => r.instanceID)).size, 1);
    for (const [i, reply] of replies.entries()) {
      const fact = await t.heard(roomID).at(reply);
      t.ok(`the fact ${reply.sequence} has an entry of ${users[i].userID}, whose reply names it`, fact.data.memberList.some((m) => m.userID === users[i].userID), fact.data);
    }
    t.equal("members by the facts", fold(t.heard(roomID).now).members.length, 50);
  },

  async "many users change one room at once: the facts make what get and members say"(t) {
    const roomID = await t.room();
    await t.back.ask("create", { roomID });
    await Promise.all(numbers(12).map(async (i) => {
      const user = t.user(`user${i}`);
      for (let round = 0; round < 4; round++) {
        await user.ask("enter", { roomID });
        await user.ask("setAttributes", { roomID, set: { [`k${i}`]: `${round}`, shared: `${i}` }, isForce: true });
        await user.ask("setMemberAttributes", { roomID, userIDs: [user.userID], attributes: { round: `${round}` } });
        await user.session("second").ask("enter", { roomID });
        await user.ask("leave", { roomID });
        if (i % 2) await user.session("second").ask("leave", { roomID });
      }
    })); // what follows from the facts is compared after every check
    t.equal("memberCount", (await t.back.ask("count", { roomID, sync: true })).memberCount, 6);
  },

  async "counting up with ifRevision from many places at once loses nothing"(t) {
    const roomID = await t.room();
    const users = numbers(5).map((i) => t.user(`user${i}`));
    for (const user of users) await user.ask("enter", { roomID });
    await users[0].ask("setAttributes", { roomID, set: { n: "0" } });
    await Promise.all(users.map(async (user) => {
      for (let done = 0; done < 4; ) {
        const { room, revision } = await user.ask("get", { roomID, sync: true });
        const body = user.body({ roomID, set: { n: String(Number(room.attributes.n) + 1) }, isForce: true, ifRevision: revision });
        const { reply } = await user.answer("setAttributes", body);
        if (!reply.error) done++;
        else t.equal("the only refusal", reply.error.code, "REVISION_MISMATCH");
      }
    }));
    t.equal("n", (await t.back.ask("get", { roomID, sync: true })).room.attributes.n, "20");
  },

  async "messages: each messageSeq is higher than the one before, and the live order is that of history"(t) {
    const roomID = await t.room();
    const users = numbers(4).map((i) => t.user(`user${i}`));
    let instanceID;
    for (const user of users) ({ instanceID } = await user.ask("enter", { roomID }));
    await Promise.all(users.map(async (user, i) => {
      for (let n = 0; n < 10; n++) await user.ask("send", { roomID, type: "text", data: `${i} ${n}` });
    }));
    await t.heard(roomID).until("40 messages", () => t.heard(roomID).messages.length >= 40);
    const live = t.heard(roomID).messages;
    const seqs = live.map((m) => Number(m.headers.get("Nats-Sequence")));
    t.equal("the live messageSeqs", seqs, [...new Set(seqs)].sort((a, b) => a - b));
    const { events } = await t.back.ask("history", { roomID, instanceID, afterMessageSeq: 0 });
    t.equal("history", events.map((m) => m.data.data), live.map((m) => m.data.data));
    for (const i of numbers(4)) t.equal(`messages of user ${i}, who waited for each answer`, live.map((m) => m.data.data).filter((d) => d.startsWith(`${i} `)), numbers(10).map((n) => `${i} ${n}`));
  },

  async "a message that was sent after the answer of another comes after it"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await alice.ask("enter", { roomID });
    await bob.ask("enter", { roomID });
    let before = 0;
    for (let i = 0; i < 20; i++) {
      const { messageSeq } = await [alice, bob][i % 2].ask("send", { roomID, type: "text", data: `${i}` });
      t.ok(`messageSeq ${messageSeq} is higher than ${before}, which was answered before`, messageSeq > before);
      before = messageSeq;
    }
  },

  async "a read with minRevision or sync sees the change that came before it"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    await alice.ask("create", { roomID });
    for (let i = 0; i < 10; i++) {
      const { revision, sequence } = await alice.ask("setAttributes", { roomID, set: { n: `${i}` } });
      const seen = await t.back.ask("get", { roomID, ...(i % 2 ? { sync: true } : { minRevision: revision }) });
      t.ok(`get sees sequence ${sequence}`, seen.sequence >= sequence && seen.room.attributes.n === `${i}`, seen);
    }
  },

  async "positions grow: each reply has a higher revision than the one before it"(t) {
    const [a, b] = [await t.room("a"), await t.room("b")];
    const alice = t.user("alice");
    let before = 0;
    for (let i = 0; i < 10; i++) {
      const { revision } = await alice.ask(i < 2 ? "create" : "setAttributes", { roomID: i % 2 ? a : b, ...(i >= 2 && { set: { n: `${i}` } }) });
      t.ok(`revision ${revision} is higher than ${before}`, revision > before);
      before = revision;
    }
  },

  async "a client without an SDK: subscribe, snapshot page by page, then fold what comes"(t) {
    const roomID = await t.room();
    const users = numbers(12).map((i) => t.user(`user${i}`));
    const { revision } = await users[0].ask("enter", { roomID });
    const busy = Promise.all(users.slice(1).map(async (u) => {
      await u.ask("enter", { roomID });
      await u.ask("setMemberAttributes", { roomID, userIDs: [u.userID], attributes: { here: "1" } });
      if (u.userID.endsWith("2")) await u.ask("leave", { roomID });
    }));
    const pages = [];
    for (let nextFlag = ""; pages.length === 0 || nextFlag; ({ nextFlag } = pages.at(-1))) {
      pages.push(await t.back.ask("members", { roomID, nextFlag, count: 3, minRevision: revision }));
    }
    await busy;
    const { sequence } = await t.back.ask("get", { roomID, sync: true });
    await t.heard(roomID).until(`fact ${sequence}`, () => t.heard(roomID).facts.at(-1)?.data.sequence >= sequence);
    const from = Math.min(...pages.map((p) => p.sequence));
    const roster = new Map(pages.flatMap((p) => p.memberList).map((m) => [m.userID, m]));
    for (const { name, data } of t.heard(roomID).facts.filter((e) => e.data.sequence > from)) {
      for (const m of data.memberList ?? []) {
        if (name === "member.joined") roster.set(m.userID, m);
        if (name === "member.left") roster.delete(m.userID);
      }
    }
    const { memberList } = await t.back.ask("members", { roomID, sync: true });
    t.equal("the roster", [...roster.keys()].sort(), memberList.map((m) => m.userID).sort());
  },
};
