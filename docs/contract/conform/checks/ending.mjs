export const about = "an empty room ends when its delay is over, and not before";

const ms = (time) => Date.parse(time);

export const checks = {
  async "without a delay it ends at once, and the next of that name is another instance"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const first = await alice.ask("enter", { roomID });
    await alice.ask("leave", { roomID });
    t.like("the end", (await t.heard(roomID).event("room.destroyed")).data, { reason: "empty", sequence: 3 });
    await t.back.refused("ROOM_NOT_EXIST", "get", { roomID });
    const second = await alice.ask("enter", { roomID });
    t.ok("another instanceID", second.instanceID !== first.instanceID, second.instanceID);
    t.like("the next", second, { created: true, sequence: 1 });
  },

  async "with a delay it says when, and ends then"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const { room } = await alice.ask("create", { roomID, config: { roomDestroyDelayTime: 1 } });
    t.ok("no destroyAt while somebody is in", room.destroyAt === undefined, room);
    const left = await t.heard(roomID).at(await alice.ask("leave", { roomID }));
    const { destroyAt, memberCount } = (await t.back.ask("get", { roomID, sync: true })).room;
    t.equal("memberCount", memberCount, 0);
    t.equal("milliseconds from the last leave to destroyAt", ms(destroyAt) - ms(left.data.memberList[0].leftAt), 1000);
    const end = await t.heard(roomID).event("room.destroyed", { reason: "empty" });
    t.ok("it ended after the delay", ms(end.time) >= ms(destroyAt), { destroyAt, time: end.time });
    t.ok("it ended within 5 s of it", ms(end.time) < ms(destroyAt) + 5000, { destroyAt, time: end.time });
  },

  async "coming back cancels the end; the next emptying starts the delay in full"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const { instanceID } = await alice.ask("create", { roomID, config: { roomDestroyDelayTime: 2 } });
    await alice.ask("leave", { roomID });
    const { destroyAt: before } = (await t.back.ask("get", { roomID, sync: true })).room;
    const back = await alice.ask("enter", { roomID });
    t.like("the reply", back, { created: false, instanceID });
    t.equal("destroyAt", back.room.destroyAt, undefined);
    const left = await t.heard(roomID).at(await alice.ask("leave", { roomID }));
    const { destroyAt } = (await t.back.ask("get", { roomID, sync: true })).room;
    t.equal("milliseconds to the new end", ms(destroyAt) - ms(left.data.memberList[0].leftAt), 2000);
    const end = await t.heard(roomID).event("room.destroyed");
    t.ok("the room did not end when the first delay was over", ms(end.time) >= ms(destroyAt) && ms(destroyAt) >= ms(before), { before, destroyAt, time: end.time });
    t.equal("the facts", t.heard(roomID).facts.map((e) => e.name), ["room.created", "member.left", "member.joined", "member.left", "room.destroyed"]);
  },

  async "a room that somebody is in does not end, whatever its delay"(t) {
    const [roomID, other] = [await t.room(), await t.room("other")];
    const [alice, bob] = t.users("alice", "bob");
    await alice.ask("create", { roomID, config: { roomDestroyDelayTime: 1 } });
    await alice.ask("leave", { roomID });
    await bob.ask("enter", { roomID });
    await alice.ask("create", { roomID: other, config: { roomDestroyDelayTime: 3 } }); // ends later
    await alice.ask("leave", { roomID: other });
    await t.heard(other).event("room.destroyed");
    t.equal("created when it should still be there", (await alice.ask("enter", { roomID })).created, false);
  },

  async "a room that ends answers nothing any more from its first member.left on"(t) {
    const roomID = await t.room();
    const users = Array.from({ length: 30 }, (_, i) => t.user(`u${i}`));
    for (const u of users) await u.ask("enter", { roomID });
    await t.back.ask("destroy", { roomID });
    await users[0].refused("ROOM_NOT_EXIST", "leave", { roomID });
    await t.back.refused("ROOM_NOT_EXIST", "members", { roomID });
    await t.heard(roomID).event("room.destroyed");
    const left = t.heard(roomID).of("member.left").flatMap((e) => e.data.memberList);
    t.equal("who left by it, each once", left.map((m) => m.userID).sort(), users.map((u) => u.userID).sort());
    t.equal("rooms of one of them", (await users[3].ask("rooms", { sync: true })).rooms, []);
  },

  async "users who enter while it ends are in a room of their own, or in none"(t) {
    const roomID = await t.room();
    await t.user("first").ask("enter", { roomID });
    const users = Array.from({ length: 8 }, (_, i) => t.user(`u${i}`));
    const [, ...entered] = await Promise.all([t.back.ask("destroy", { roomID }), ...users.map((u) => u.ask("enter", { roomID }))]);
    await t.heard(roomID).event("room.destroyed");
    const here = await t.back.answer("members", { roomID, sync: true });
    const ids = here.reply.error ? [] : here.reply.memberList.map((m) => m.userID);
    const want = users.filter((_, i) => entered[i].instanceID === here.reply.instanceID).map((u) => u.userID);
    t.equal("who is in the room that is there now", ids.sort(), want.sort());
  },
};
