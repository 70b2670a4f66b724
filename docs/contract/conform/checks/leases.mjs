export const about = "a session that gives no sign of life leaves when its lease ends";

const ms = (time) => Date.parse(time);
const lease = { leaseSeconds: 5 }; // the least there is

/** Commands of a session at each of these moments, in ms after now. */
function at(moments, command) {
  return Promise.all(moments.map((after) => new Promise((resolve, reject) => setTimeout(() => command().then(resolve, reject), after))));
}

export const checks = {
  async "it ends with expired and connectTimeout, at the time that was said"(t) {
    const [a, b] = [await t.room("a"), await t.room("b")];
    const [alice, bob] = t.users("alice", "bob");
    for (const roomID of [a, b]) await bob.ask("enter", { roomID });
    const first = await alice.ask("enter", { roomID: a, ...lease });
    const second = await alice.ask("enter", { roomID: b, ...lease });
    t.equal("leaseSeconds of the replies", [first.leaseSeconds, second.leaseSeconds], [5, 5]);
    t.ok("expiresAt is 4 to 6 s ahead of the fact", Math.abs(ms(second.expiresAt) - ms((await t.heard(b).at(second)).time) - 5000) < 1000, second.expiresAt);
    const notices = await t.notices(alice);
    for (const roomID of [a, b]) {
      const fact = await t.heard(roomID).event("member.left", undefined, 12_000);
      const [entry] = fact.data.memberList;
      t.like("the entry", entry, { userID: alice.userID, reason: "expired" });
      t.ok("leftAt is when the lease ended", Math.abs(ms(entry.leftAt) - ms(second.expiresAt)) < 50, { leftAt: entry.leftAt, expiresAt: second.expiresAt });
      t.ok("it was noticed within 2 s (3 on a slow machine)", ms(fact.time) - ms(second.expiresAt) < 3000, { time: fact.time, expiresAt: second.expiresAt });
      await notices.event("user.state.changed", { roomID, state: "disconnected", event: "connectTimeout" });
    }
  },

  async "renew and every other command renew it"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    const { expiresAt } = await alice.ask("enter", { roomID, ...lease });
    await bob.ask("enter", { roomID, ...lease });
    const replies = await at([2000, 4000, 6000], () => Promise.all([alice.ask("renew"), bob.ask("get", { roomID })]));
    for (const [renewed, got] of replies) {
      t.equal("rooms of the renewal", renewed.rooms.map((r) => r.roomID), [roomID]);
      t.ok("expiresAt moves on", ms(renewed.expiresAt) > ms(expiresAt) && ms(got.expiresAt) > ms(expiresAt), [renewed.expiresAt, got.expiresAt]);
      t.equal("leaseSeconds", [renewed.leaseSeconds, got.leaseSeconds], [5, 5]);
    }
    t.equal("members after 6 s", (await t.back.ask("count", { roomID, sync: true })).memberCount, 2);
  },

  async "a renewal that is too late does not have the room; entering again begins a new stay"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await bob.ask("enter", { roomID });
    const first = await alice.ask("enter", { roomID, ...lease });
    const { data } = await t.heard(roomID).event("member.left", undefined, 12_000);
    t.equal("rooms", (await alice.ask("renew")).rooms, []);
    const again = await alice.ask("enter", { roomID, ...lease });
    t.like("the new stay", again, { created: false, instanceID: first.instanceID, sequence: 4 });
    const entry = await t.entry(roomID, again, "member.joined", alice.userID);
    t.ok("joinedAt is after the end of the first stay", ms(entry.joinedAt) >= ms(data.memberList[0].leftAt), [entry, data]);
  },

  async "a back end's sessions have none unless they ask; the newest that was asked for counts; 0 takes it away"(t) {
    const [roomID, other] = [await t.room(), await t.room("other")];
    const alice = t.user("alice");
    t.equal("expiresAt without asking", (await alice.ask("enter", { roomID })).expiresAt, undefined);
    t.equal("after asking for 5 s", (await alice.ask("renew", lease)).leaseSeconds, 5);
    t.equal("after asking for 3600 s", (await alice.ask("renew", { leaseSeconds: 3600 })).leaseSeconds, 3600);
    t.equal("on another command", (await alice.ask("enter", { roomID: other })).leaseSeconds, 3600);
    const none = await alice.ask("renew", { leaseSeconds: 0 });
    t.equal("after asking for none", [none.expiresAt, none.rooms.length], [undefined, 2]);
  },

  async "it belongs to one session: the other stays, and so does the member"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    await alice.session("short").ask("enter", { roomID, ...lease });
    await alice.session("long").ask("enter", { roomID });
    const { data } = await t.heard(roomID).event("session.left", undefined, 12_000);
    t.like("the entry", data.memberList[0], { sessionID: "short", reason: "expired" });
    t.equal("memberCount", data.memberCount, 1);
  },

  async "a room whose last member's lease ends is empty from then on, and ends"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    await alice.ask("enter", { roomID, ...lease });
    const left = await t.heard(roomID).event("member.left", undefined, 12_000);
    t.equal("reason", left.data.memberList[0].reason, "expired");
    await t.heard(roomID).event("room.destroyed", { reason: "empty" });
  },

  async "leaving ends it: nobody is put out later"(t) {
    const [roomID, other] = [await t.room(), await t.room("other")];
    const [alice, bob] = t.users("alice", "bob");
    await bob.ask("enter", { roomID });
    await alice.ask("enter", { roomID, ...lease });
    await alice.ask("leave", { roomID });
    await t.user("carol").ask("enter", { roomID: other, ...lease }); // its lease ends later
    await t.heard(other).event("member.left", undefined, 12_000);
    t.equal("the facts", t.heard(roomID).facts.map((e) => e.name), ["room.created", "member.joined", "member.left"]);
  },
};
