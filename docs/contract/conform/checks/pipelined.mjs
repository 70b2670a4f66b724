export const about = "commands of one session that are sent without waiting, to one instance (new, as the groups before)";
export const needs = ({ one }) => one;
export const without = "which needs --one: several instances keep no order among commands that nobody waited for";

const rounds = 50;

/** Sends all commands at once; gives how they were answered, in the order of the answers. */
async function atOnce(caller, ...commands) {
  const order = [];
  await Promise.all(commands.map(async ([verb, body]) => {
    const { reply } = await caller.answer(verb, caller.body(body));
    order.push(reply.error ? `${verb} ${reply.error.code}` : verb);
  }));
  return order;
}

export const checks = {
  async "enter, send: the message is accepted"(t) {
    for (let i = 0; i < rounds; i++) {
      const [roomID, alice] = [await t.room(`r${i}`, { watch: false }), t.user(`alice${i}`)];
      t.equal("the answers, in their order", await atOnce(alice, ["enter", { roomID }], ["send", { roomID, type: "text", data: "hello" }]), ["enter", "send"]);
    }
  },

  async "send, leave: the message is accepted"(t) {
    const roomID = await t.room();
    await t.user("bob").ask("enter", { roomID });
    const alice = t.user("alice");
    for (let i = 0; i < rounds; i++) {
      await alice.ask("enter", { roomID });
      t.equal("the answers, in their order", await atOnce(alice, ["send", { roomID, type: "text", data: `${i}` }], ["leave", { roomID }]), ["send", "leave"]);
    }
  },

  async "enter, leave, enter: it is in in the end"(t) {
    const roomID = await t.room();
    await t.user("bob").ask("enter", { roomID });
    for (let i = 0; i < rounds; i++) {
      const alice = t.user(`alice${i}`);
      t.equal("the answers, in their order", await atOnce(alice, ["enter", { roomID }], ["leave", { roomID }], ["enter", { roomID }]), ["enter", "leave", "enter"]);
      t.equal("where it is", (await alice.ask("renew")).rooms.map((r) => r.roomID), [roomID]);
    }
  },

  async "leave, enter and switch across two rooms"(t) {
    const [a, b] = [await t.room("a"), await t.room("b")];
    for (const roomID of [a, b]) await t.user("bob").ask("enter", { roomID });
    for (let i = 0; i < rounds; i++) {
      const alice = t.user(`alice${i}`);
      t.equal("the answers, in their order", await atOnce(alice, ["enter", { roomID: a }], ["switch", { fromRoomID: a, toRoomInfo: { roomID: b } }], ["send", { roomID: b, type: "text", data: "x" }], ["leaveAll", {}]), ["enter", "switch", "send", "leaveAll"]);
      t.equal("where it is", (await alice.ask("renew")).rooms, []);
    }
  },

  async "a refusal that needs no look at the room does not overtake"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    await alice.ask("enter", { roomID });
    for (let i = 0; i < rounds; i++) {
      t.equal("the answers, in their order", await atOnce(alice, ["setAttributes", { roomID, set: { n: `${i}` } }], ["leave", { roomID: 5 }], ["leave", { roomID: "" }], ["count", { roomID }]), ["setAttributes", "leave PARAM_INVALID", "leave PARAM_INVALID", "count"]);
    }
  },

  async "a read that takes longer is not overtaken"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    const { instanceID } = await alice.ask("enter", { roomID });
    for (let i = 0; i < rounds; i++) {
      t.equal("the answers, in their order", await atOnce(alice, ["members", { roomID, sync: true }], ["count", { roomID }], ["history", { roomID, instanceID, afterMessageSeq: 0 }], ["get", { roomID }]), ["members", "count", "history", "get"]);
    }
  },

  async "what is said is heard in the order in which it was sent, live-only messages too"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    await alice.ask("enter", { roomID });
    const types = ["text", "command", "barrage", "custom", "command"];
    const want = [];
    for (let i = 0; i < rounds; i++) {
      const order = [];
      await Promise.all(types.map(async (type) => {
        const data = `${i} ${type} ${want.length}`;
        want.push(data);
        await alice.ask("send", { roomID, type, data });
        order.push(type);
      }));
      t.equal("the answers, in their order", order, types);
    }
    await t.heard(roomID).event("message.sent", { data: want.at(-1) });
    t.equal("what is heard", t.heard(roomID).of("message.sent").map((e) => e.data.data), want);
  },
};
