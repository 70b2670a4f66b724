export const about = "attributes: whose they are, who may change them, and what goes with whom";

/** A room with alice, who made it, and bob. */
async function two(t, config) {
  const roomID = await t.room();
  const [alice, bob] = t.users("alice", "bob");
  await alice.ask("create", { roomID, config });
  await bob.ask("join", { roomID });
  const attributes = async () => (await t.back.ask("get", { roomID, sync: true })).room.attributes;
  const set = (caller, body) => caller.ask("setAttributes", { roomID, ...body });
  return { roomID, alice, bob, attributes, set };
}

export const checks = {
  async "an attribute belongs to who set it first; others may not change or delete it"(t) {
    const { roomID, alice, bob, attributes, set } = await two(t, { roomAttributes: { made: "1" } });
    await set(alice, { set: { hers: "1" } });
    const { sequence } = await set(bob, { set: { his: "1" } });
    t.like("what bob may not set", await set(bob, { set: { hers: "2", made: "2", his: "2" } }), { errorKeys: ["hers", "made"], attributes: { made: "1", hers: "1", his: "2" } });
    t.like("what bob may not delete", await set(bob, { delete: ["hers", "made", "his"] }), { errorKeys: ["hers", "made"], attributes: { made: "1", hers: "1" } });
    t.like("a change of nothing but what is not his", await set(bob, { set: { hers: "3" } }), { errorKeys: ["hers"], sequence: sequence + 2 });
    t.equal("attributes", await attributes(), { made: "1", hers: "1" });
    const { data } = await t.heard(roomID).event("room.attributes.changed", (d) => d.changes[0].errorKeys);
    t.like("the change in the fact", data.changes[0], { userID: bob.userID, set: ["his"], errorKeys: ["hers", "made"] });
  },

  async "isForce changes what others own, and they stay the owners"(t) {
    const { alice, bob, set } = await two(t);
    await set(alice, { set: { hers: "1" } });
    t.like("forced by bob", await set(bob, { set: { hers: "2" }, isForce: true }), { errorKeys: [], attributes: { hers: "2" } });
    t.equal("bob without force again", (await set(bob, { set: { hers: "3" } })).errorKeys, ["hers"]);
    t.equal("deleted by force", (await set(bob, { delete: ["hers"], isForce: true })).attributes, {});
  },

  async "isUpdateOwner makes the caller the owner"(t) {
    const { roomID, alice, bob, set } = await two(t);
    await set(alice, { set: { hers: "1" } });
    t.equal("without force it does not take what is owned", (await set(bob, { set: { hers: "2" }, isUpdateOwner: true })).errorKeys, ["hers"]);
    const taken = await set(bob, { set: { hers: "2" }, isForce: true, isUpdateOwner: true });
    t.equal("the owner in the fact", (await t.heard(roomID).at(taken)).data.owners, { hers: bob.userID });
    t.equal("alice, who owned it", (await set(alice, { set: { hers: "3" } })).errorKeys, ["hers"]);
  },

  async "isDeleteAfterOwnerLeft: they go in the same fact as their owner; others stay"(t) {
    const { roomID, alice, bob, attributes, set } = await two(t);
    await set(bob, { set: { goes: "1", too: "1" }, isDeleteAfterOwnerLeft: true });
    await set(bob, { set: { stays: "1" } });
    await set(bob, { set: { too: "2" }, isDeleteAfterOwnerLeft: false });
    const { data } = await t.heard(roomID).at(await bob.ask("leave", { roomID }));
    t.equal("deletedAttributes", data.deletedAttributes, ["goes"]);
    t.equal("attributes", await attributes(), { stays: "1", too: "2" });
    await bob.ask("join", { roomID });
    await set(bob, { set: { goes: "2" }, isDeleteAfterOwnerLeft: true });
    await t.back.ask("kick", { roomID, userIDs: [bob.userID] });
    t.equal("attributes after a kick", await attributes(), { stays: "1", too: "2" });
    t.equal("alice without force", (await set(alice, { set: { stays: "2" } })).errorKeys, ["stays"]);
  },

  async "they stay with their owner's second session, and go with the last"(t) {
    const { roomID, bob, attributes, set } = await two(t);
    await bob.session("two").ask("join", { roomID });
    await set(bob, { set: { goes: "1" }, isDeleteAfterOwnerLeft: true });
    await bob.ask("leave", { roomID });
    t.equal("attributes when one has left", await attributes(), { goes: "1" });
    await bob.session("two").ask("leave", { roomID });
    t.equal("attributes when both have left", await attributes(), {});
  },

  async "what is so already changes nothing"(t) {
    const { alice, set } = await two(t);
    const { sequence } = await set(alice, { set: { a: "1" } });
    t.equal("sequence of the same again", (await set(alice, { set: { a: "1" }, delete: ["none"] })).sequence, sequence);
  },

  async "what several commands set at once is all there"(t) {
    const { roomID, attributes } = await two(t);
    const users = Array.from({ length: 10 }, (_, i) => t.user(`u${i}`));
    for (const u of users) await u.ask("enter", { roomID });
    await Promise.all(users.map((u, i) => u.ask("setAttributes", { roomID, set: { [`k${i}`]: `${i}` } })));
    t.equal("attributes", await attributes(), Object.fromEntries(users.map((_, i) => [`k${i}`, `${i}`])));
  },

  async "attributes live as long as the room, empty or not, and end with it"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    await alice.ask("create", { roomID, config: { roomDestroyDelayTime: 60 } });
    await alice.ask("setAttributes", { roomID, set: { stays: "1" } });
    await alice.ask("leave", { roomID });
    t.equal("of the empty room", (await t.back.ask("get", { roomID, sync: true })).room.attributes, { stays: "1" });
    t.equal("for who comes back", (await alice.ask("enter", { roomID })).room.attributes, { stays: "1" });
    await alice.ask("destroy", { roomID });
    await t.heard(roomID).event("room.destroyed");
    t.equal("of the next room", (await alice.ask("enter", { roomID })).room.attributes, {});
  },

  async "a member's attributes go when it leaves, unless they are to stay"(t) {
    const { roomID, alice, bob } = await two(t);
    const give = (attributes, more) => alice.ask("setMemberAttributes", { roomID, userIDs: [bob.userID], attributes, ...more });
    await give({ goes: "1" });
    await give({ stays: "1" }, { isDeleteAfterOwnerLeft: false });
    await bob.ask("leave", { roomID });
    const entry = await t.entry(roomID, await bob.ask("join", { roomID }), "member.joined", bob.userID);
    t.equal("attributes in the fact of who comes back", entry.attributes, { stays: "1" });
    const { memberList } = await t.back.ask("memberOf", { roomID, userIDs: [bob.userID], sync: true });
    t.equal("attributes of the member", memberList[0].attributes, { stays: "1" });
  },
};
