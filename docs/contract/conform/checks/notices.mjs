export const about = "roomStateChanged: what a user's devices are told, before the command is answered";

const numbers = { disconnected: 0, connecting: 1, connected: 2 };
const events = ["success", "networkInterrupted", "networkDisconnected", "roomNotExist", "activeCreate", "createFailed", "activeEnter", "enterFailed", "kickedOut", "connectTimeout", "kickedOutByOtherDevice", "activeSwitch", "switchFailed"];

/** What a command tells before its answer arrives. */
async function told(notices, caller, command) {
  const from = notices.events.length;
  await command;
  return notices.events.slice(from).filter((e) => e.arrived < caller.answered).map((e) => `${e.data.state} ${e.data.event}`);
}

/** The numbers in each notice are those of its words. */
function right(t, notices) {
  for (const { data } of notices.events) {
    t.equal(`stateCode and eventCode of ${data.state} ${data.event}`, [data.stateCode, data.eventCode], [numbers[data.state], events.indexOf(data.event)]);
  }
}

export const checks = {
  async "create, join and enter: connecting, then connected"(t) {
    const [a, b, c] = [await t.room("a"), await t.room("b"), await t.room("c")];
    const alice = t.user("alice").session("tab-1");
    const notices = await t.notices(alice);
    t.equal("told of create", await told(notices, alice, alice.ask("create", { roomID: a, requestID: "r1" })), ["connecting activeCreate", "connected success"]);
    await t.user("bob").ask("create", { roomID: b });
    const joined = alice.ask("join", { roomID: b });
    t.equal("told of join", await told(notices, alice, joined), ["connecting activeEnter", "connected success"]);
    t.equal("told of enter", await told(notices, alice, alice.ask("enter", { roomID: c })), ["connecting activeEnter", "connected success"]);
    const { instanceID, sequence } = await joined;
    t.like("the notice of the join", notices.events[3].data, { roomID: b, userID: alice.userID, sessionID: "tab-1", instanceID, sequence });
    t.equal("requestID in what create told", notices.events.slice(0, 2).map((e) => e.data.requestID), ["r1", "r1"]);
    right(t, notices);
  },

  async "create, join and enter that are refused: createFailed or enterFailed, and what is true"(t) {
    const [roomID, nowhere] = [await t.room(), t.name("nowhere")];
    const alice = t.user("alice");
    const bob = t.user("bob");
    await alice.ask("create", { roomID, config: { maxMembers: 1 } });
    const [his, hers] = [await t.notices(bob), await t.notices(alice)];
    t.equal("told of create", await told(his, bob, bob.refused("ROOM_ALREADY_EXISTS", "create", { roomID })), ["connecting activeCreate", "disconnected createFailed"]);
    t.equal("told of join", await told(his, bob, bob.refused("ROOM_NOT_EXIST", "join", { roomID: nowhere })), ["connecting activeEnter", "disconnected enterFailed"]);
    t.equal("told of enter", await told(his, bob, bob.refused("ROOM_FULL", "enter", { roomID })), ["connecting activeEnter", "disconnected enterFailed"]);
    t.equal("the errors in them", his.events.map((e) => e.data.error).filter(Boolean), [{ code: "ROOM_ALREADY_EXISTS", number: 6000323 }, { code: "ROOM_NOT_EXIST", number: 6000322 }, { code: "ROOM_FULL", number: 7000002 }]);
    t.equal("what is true for somebody who is in", (await told(hers, alice, alice.refused("USER_ALREADY_IN_ROOM", "join", { roomID }))).at(-1), "connected enterFailed");
    right(t, his);
  },

  async "switch: connecting to the one, connected there, and then disconnected from the other"(t) {
    const [from, to] = [await t.room("from"), await t.room("to")];
    const alice = t.user("alice");
    await alice.ask("enter", { roomID: from });
    const notices = await t.notices(alice);
    await alice.refused("ROOM_NOT_EXIST", "switch", { fromRoomID: from, toRoomInfo: { roomID: to } });
    t.equal("told of one that is refused", notices.events.splice(0).map((e) => [e.data.roomID, `${e.data.state} ${e.data.event}`]), [[to, "connecting activeSwitch"], [to, "disconnected switchFailed"]]);
    await alice.ask("switch", { fromRoomID: from, toRoomInfo: { roomID: to }, isCreateWhenRoomNotExisted: true });
    t.ok("the notices came before the answer", notices.events.every((e) => e.arrived < alice.answered), notices.told());
    t.equal("told of one that is done", notices.events.map((e) => [e.data.roomID, `${e.data.state} ${e.data.event}`]), [[to, "connecting activeSwitch"], [to, "connected success"], [from, "disconnected success"]]);
    right(t, notices);
  },

  async "leave and leaveAll: disconnected, once for each room"(t) {
    const [a, b] = [await t.room("a"), await t.room("b")];
    const alice = t.user("alice");
    for (const roomID of [a, b]) await alice.ask("enter", { roomID });
    const notices = await t.notices(alice);
    t.equal("told of leave", await told(notices, alice, alice.ask("leave", { roomID: a })), ["disconnected success"]);
    await alice.ask("enter", { roomID: a });
    notices.events.splice(0);
    t.equal("told of leaveAll", await told(notices, alice, alice.ask("leaveAll")), ["disconnected success", "disconnected success"]);
    t.equal("the rooms", notices.events.map((e) => e.data.roomID).sort(), [a, b].sort());
    right(t, notices);
  },

  async "kick and destroy: each session of who is put out is told why"(t) {
    const [a, b] = [await t.room("a"), await t.room("b")];
    const bob = t.user("bob");
    const sessions = [bob.session("one"), bob.session("two")];
    for (const roomID of [a, b]) for (const s of sessions) await s.ask("enter", { roomID });
    const notices = await t.notices(bob);
    const requestID = t.name("kick");
    await t.back.ask("kick", { roomID: a, userIDs: [bob.userID], reason: "too loud", requestID });
    t.ok("the notices came before the answer", notices.events.every((e) => e.arrived < t.back.answered), notices.told());
    const seen = () => notices.events.splice(0).map(({ data: d }) => [d.sessionID, d.state, d.event, d.reasonText, d.requestID]).sort();
    t.equal("told of kick", seen(), ["one", "two"].map((s) => [s, "disconnected", "kickedOut", "too loud", requestID]));
    await t.back.ask("destroy", { roomID: b, reason: "closed" });
    await notices.until("two notices", () => notices.events.length === 2);
    t.equal("told of destroy", seen(), ["one", "two"].map((s) => [s, "disconnected", "roomNotExist", "closed", undefined]));
    right(t, notices);
  },

  async "only the user concerned is told, in all its sessions; reads and other commands tell nobody"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await alice.ask("enter", { roomID });
    const [hers, his] = [await t.notices(alice), await t.notices(bob)];
    await bob.ask("enter", { roomID });
    await alice.ask("setAttributes", { roomID, set: { a: "1" } });
    await alice.ask("send", { roomID, type: "text", data: "x" });
    for (const verb of ["get", "members", "count"]) await alice.ask(verb, { roomID });
    await alice.ask("renew");
    await alice.nc.flush();
    t.equal("what alice is told", hers.told(), []);
    t.equal("what bob is told", his.told(), ["connecting activeEnter", "connected success"]);
  },
};
