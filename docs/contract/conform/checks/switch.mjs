export const about = "a switch changes both rooms or none";

async function rooms(t, ...users) {
  const [from, to] = [await t.room("from"), await t.room("to")];
  for (const user of users) await user.ask("enter", { roomID: from });
  const where = async (user) => (await user.ask("rooms", { sync: true })).rooms.map((r) => r.roomID).sort();
  return { from, to, where, body: { fromRoomID: from, toRoomInfo: { roomID: to, roomName: "To" } } };
}

export const checks = {
  async "it makes the room only if told to, with name and config"(t) {
    const alice = t.user("alice");
    const { from, to, body, where } = await rooms(t, alice, t.user("bob"));
    await alice.refused("ROOM_NOT_EXIST", "switch", body);
    t.equal("rooms after the refusal", await where(alice), [from]);
    const reply = await alice.ask("switch", { ...body, isCreateWhenRoomNotExisted: true, config: { maxMembers: 5, roomAttributes: { a: "1" } } });
    t.like("room", reply.room, { roomID: to, roomName: "To", createdBy: alice.userID, attributes: { a: "1" } });
    t.equal("created", reply.created, true);
    t.like("the entry of the new room", await t.entry(to, reply, "room.created", alice.userID), { via: "switch", fromRoomID: from });
  },

  async "a room left empty ends as after a leave"(t) {
    const alice = t.user("alice");
    const { from, body, where, to } = await rooms(t, alice);
    await alice.ask("switch", { ...body, isCreateWhenRoomNotExisted: true });
    await t.heard(from).event("room.destroyed", { reason: "empty" });
    t.equal("rooms", await where(alice), [to]);
  },

  async "somebody who is in the target already only leaves"(t) {
    const alice = t.user("alice");
    const { from, to, body } = await rooms(t, alice, t.user("bob"));
    const there = await alice.ask("enter", { roomID: to });
    const reply = await alice.ask("switch", body);
    t.like("the reply", reply, { created: false, sequence: there.sequence });
    t.like("left", reply.left, { roomID: from, sequence: 3 });
    t.like("the entry in the room left", await t.entry(from, reply.left, "member.left", alice.userID), { reason: "switched", toRoomID: to });
    t.equal("the facts of the target", t.heard(to).facts.length, 1);
  },

  async "only this session switches; the user's others stay"(t) {
    const alice = t.user("alice");
    const [phone, laptop] = [alice.session("phone"), alice.session("laptop")];
    const { from, to, body } = await rooms(t, phone, laptop);
    const reply = await phone.ask("switch", { ...body, isCreateWhenRoomNotExisted: true });
    t.like("left", reply.left, { roomID: from });
    t.like("the entry in the room left", await t.entry(from, reply.left, "session.left", alice.userID), { sessionID: "phone", reason: "switched" });
    t.equal("where the other one is", (await laptop.ask("renew")).rooms.map((r) => r.roomID), [from]);
    t.equal("where this one is", (await phone.ask("renew")).rooms.map((r) => r.roomID), [to]);
  },

  async "a hundred switches to and fro: a reader never sees the user in both rooms or in none"(t) {
    const [alice, bob] = t.users("alice", "bob");
    const { from, to, where, body } = await rooms(t, alice, bob);
    await bob.ask("enter", { roomID: to });
    let over = false;
    const reading = (async () => {
      for (; !over; ) t.equal("the number of rooms that alice is in", (await where(alice)).length, 1);
    })();
    reading.catch(() => {});
    for (let i = 0; i < 100; i++) await alice.ask("switch", i % 2 ? { fromRoomID: to, toRoomInfo: { roomID: from } } : body);
    over = true;
    await reading;
  },

  async "two at once of one session: one is done, the other refused, and it is in one room"(t) {
    const alice = t.user("alice");
    const { from, to, where } = await rooms(t, alice, t.user("bob"));
    const third = await t.room("third");
    const go = (roomID) => alice.answer("switch", alice.body({ fromRoomID: from, toRoomInfo: { roomID }, isCreateWhenRoomNotExisted: true }));
    const replies = await Promise.all([go(to), go(third)]);
    t.equal("how they were answered", replies.map((r) => r.reply.error?.code ?? "ok").sort(), ["USER_NOT_IN_ROOM", "ok"]);
    t.equal("the number of rooms", (await where(alice)).length, 1);
  },
};
