export const about = "sizes: exactly the limit is accepted, one more is refused, and the refusal says the limit";

const x = (n) => "x".repeat(n);
const pairs = (n, value = "1") => Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, value]));

/**
 * Finds a limit, which is a setting of the deployment, by what is far above it; make gives the
 * body for a size. Then checks both sides of it.
 */
async function edge(t, caller, code, verb, field, far, make) {
  const { limit, actual } = await caller.refused(code, verb, make(far), { field });
  t.equal(`actual of ${code} (${verb})`, actual, far);
  t.ok(`limit of ${code} (${verb}) is a number below ${far}`, limit > 0 && limit < far, limit);
  await caller.refused(code, verb, make(limit + 1), { field, limit, actual: limit + 1 });
  return caller.ask(verb, make(limit));
}

export const checks = {
  async "MESSAGE_TOO_LONG: a message's data, in bytes"(t) {
    const [roomID, alice] = [await t.room(), t.user("alice")];
    await alice.ask("enter", { roomID });
    const { messageID } = await edge(t, alice, "MESSAGE_TOO_LONG", "send", "data", 50_000, (n) => ({ roomID, type: "text", data: x(n) }));
    const { limit } = await alice.refused("MESSAGE_TOO_LONG", "send", { roomID, type: "text", data: x(50_000) });
    const { data } = (await t.heard(roomID).event("message.sent", { messageID })).data;
    t.equal("the length of the longest message", data.length, limit);
    await alice.refused("MESSAGE_TOO_LONG", "send", { roomID, type: "text", data: "ü".repeat(limit / 2 + 1) }, { limit, actual: limit + 2 });
  },

  async "ROOM_ATTRIBUTE_KEY and _VALUE: one attribute"(t) {
    const [roomID, alice] = [await t.room(), t.user("alice")];
    await alice.ask("enter", { roomID });
    await edge(t, alice, "ROOM_ATTRIBUTE_KEY", "setAttributes", "set", 200, (n) => ({ roomID, set: { [x(n)]: "1" } }));
    await alice.refused("ROOM_ATTRIBUTE_KEY", "setAttributes", { roomID, set: { "": "1" } }, { field: "set" });
    await alice.refused("ROOM_ATTRIBUTE_KEY", "setAttributes", { roomID, delete: [""] }, { field: "delete" });
    const { limit } = await alice.refused("ROOM_ATTRIBUTE_VALUE", "setAttributes", { roomID, set: { v: x(33_000) } }, { field: "set", actual: 33_000 });
    await alice.refused("ROOM_ATTRIBUTE_VALUE", "setAttributes", { roomID, set: { v: x(limit + 1) } }, { limit, actual: limit + 1 });
    t.equal("length of the longest value", (await alice.ask("setAttributes", { roomID, set: { v: x(limit - 1) } })).attributes.v.length, limit - 1);
    await alice.refused("ROOM_ATTRIBUTE_VALUE", "create", { roomID: t.name("none"), config: { roomAttributes: { v: x(limit + 1) } } }, { field: "config.roomAttributes" });
  },

  async "ROOM_ATTRIBUTE_COUNT: how many attributes a room has"(t) {
    const [roomID, alice] = [await t.room(), t.user("alice")];
    await alice.ask("enter", { roomID });
    const { limit } = await alice.refused("ROOM_ATTRIBUTE_COUNT", "setAttributes", { roomID, set: pairs(300) }, { field: "set", actual: 300 });
    t.equal("how many there are", Object.keys((await alice.ask("setAttributes", { roomID, set: pairs(limit) })).attributes).length, limit);
    await alice.refused("ROOM_ATTRIBUTE_COUNT", "setAttributes", { roomID, set: { more: "1" } }, { field: "set", limit, actual: limit + 1 });
    await alice.ask("setAttributes", { roomID, set: { more: "1" }, delete: ["k0"] });
  },

  async "ROOM_ATTRIBUTE_TOTAL: all attributes together"(t) {
    const [roomID, alice] = [await t.room(), t.user("alice")];
    await alice.ask("enter", { roomID });
    const set = (i, n) => ({ roomID, set: { [`k${String(i).padStart(2, "0")}`]: x(n) } });
    let refused;
    for (let i = 0; i < 40 && !refused; i++) refused = await alice.ask("setAttributes", set(i, 1021)).then(() => undefined, (err) => err);
    t.equal("the code", refused?.code, "ROOM_ATTRIBUTE_TOTAL");
    t.equal("the number and the field", [refused.number, refused.field], [6000337, "set"]);
    t.ok("actual is over limit", refused.actual > refused.limit, refused.message);
    const kept = Object.entries((await t.back.ask("get", { roomID, sync: true })).room.attributes);
    t.ok("what was kept is within the limit", kept.join("").length - kept.length <= refused.limit, kept.length);
  },

  async "MEMBER_ATTRIBUTE_KEY, _VALUE and _TOTAL: attributes of a member"(t) {
    const [roomID, alice] = [await t.room(), t.user("alice")];
    await alice.ask("enter", { roomID });
    const userIDs = [alice.userID];
    const set = (attributes) => ({ roomID, userIDs, attributes });
    await edge(t, alice, "MEMBER_ATTRIBUTE_KEY", "setMemberAttributes", "attributes", 200, (n) => set({ [x(n)]: "1" }));
    await edge(t, alice, "MEMBER_ATTRIBUTE_VALUE", "setMemberAttributes", "attributes", 5_000, (n) => set({ v: x(n) }));
    await alice.refused("MEMBER_ATTRIBUTE_KEY", "setMemberAttributes", set({ "": "1" }), { field: "attributes" });
    await alice.refused("MEMBER_ATTRIBUTE_TOTAL", "setMemberAttributes", set(pairs(300)), { field: "attributes" });
    let refused;
    for (let i = 0; i < 300 && !refused; i++) refused = await alice.ask("setMemberAttributes", set({ [`n${i}`]: x(100) })).then(() => undefined, (err) => err);
    t.equal("the code when all together are too much", refused?.code, "MEMBER_ATTRIBUTE_TOTAL");
  },

  async "PARAM_INVALID: names of rooms and users, in bytes"(t) {
    const alice = t.user("alice");
    const rooms = [await t.room("a"), await t.room("b")];
    await edge(t, alice, "PARAM_INVALID", "enter", "roomName", 1025, (n) => ({ roomID: rooms[0], roomName: x(n) }));
    await edge(t, alice, "PARAM_INVALID", "enter", "userName", 1025, (n) => ({ roomID: rooms[1], userName: x(n) }));
  },

  async "IDs of 128 bytes, sessions of 64 bytes and requestIDs of 64 characters are accepted"(t) {
    const roomID = await t.room("long", { exactly: t.name("ü").padEnd(127, "x") });
    const reply = await t.back.ask("enter", { roomID, userID: t.name("u").padEnd(128, "u"), sessionID: "s".repeat(64), requestID: t.name("").padEnd(64, "ü") });
    t.equal("bytes of the room's ID", Buffer.from(reply.room.roomID).length, 128);
  },
};
