export const about = "the numbers that a deployment with small limits allows (--max-rooms, --max-rooms-per-user, --message-rate, --devices replace)";
export const needs = ({ small }) => small;
export const without = "which needs --small, and a deployment of its own";

/** Repeats a command with other bodies until it is refused; it must be with code. Gives how many succeeded and the refusal. */
async function until(t, code, caller, verb, make, most = 50) {
  for (let done = 0; done < most; done++) {
    const { reply } = await caller.answer(verb, caller.body(await make(done)));
    if (!reply.error) continue;
    t.equal(`the refusal of ${verb} number ${done + 1}`, reply.error.code, code);
    return { done, refused: reply.error };
  }
  throw new Error(`${most} times ${verb} were all accepted; the deployment must have a limit below that`);
}

export const checks = {
  async "USER_ROOM_LIMIT, then ROOM_LIMIT; a switch is never too many"(t) {
    const rooms = [];
    const make = async () => (rooms.push(await t.room(`r${rooms.length}`)), { roomID: rooms.at(-1) });
    const alice = t.user("alice");
    const { done } = await until(t, "USER_ROOM_LIMIT", alice, "enter", make);
    await alice.refused("USER_ROOM_LIMIT", "create", { roomID: rooms.at(-1) });
    await t.user("bob").ask("enter", { roomID: rooms.at(-1) });
    await alice.refused("USER_ROOM_LIMIT", "join", { roomID: rooms.at(-1) });
    const { created } = await alice.ask("switch", { fromRoomID: rooms[0], toRoomInfo: { roomID: rooms.at(-1) } });
    t.equal("created of a switch by somebody in all the rooms it may be in", created, false);
    t.equal("how many rooms alice is in", (await alice.ask("rooms", { sync: true })).rooms.length, done);
    await until(t, "ROOM_LIMIT", t.back, "create", make);
    const here = rooms.at(-2);
    await t.user("carol").ask("enter", { roomID: here });
    for (const verb of ["create", "enter"]) await t.user("carol").refused("ROOM_LIMIT", verb, { roomID: t.name("more") });
    await t.user("carol").refused("ROOM_LIMIT", "switch", { fromRoomID: here, toRoomInfo: { roomID: t.name("more") }, isCreateWhenRoomNotExisted: true });
    await t.back.ask("destroy", { roomID: rooms[1] });
    await t.heard(rooms[1]).event("room.destroyed");
    await t.user("dave").ask("enter", { roomID: await t.room("again") });
    for (const roomID of [...rooms, t.name("again")]) await t.back.answer("destroy", { roomID });

    // the same check, since the limits are the deployment's: others would be in its way
    const roomID = await t.room("talk");
    const erin = t.user("erin");
    await erin.ask("enter", { roomID });
    const say = () => ({ roomID, type: "text", data: "x" });
    const { refused } = await until(t, "RATE_LIMITED", erin, "send", say, 500);
    t.ok("retryAfterMs says when to go on", refused.retryAfterMs > 0 && refused.retryAfterMs <= 1000, refused);
    t.ok("limit is the rate", refused.limit > 0, refused);
    await t.back.ask("send", say());
    await new Promise((resolve) => setTimeout(resolve, refused.retryAfterMs));
    await erin.ask("send", say());

    const [old, fresh] = [erin.session("old"), erin.session("new")];
    const notices = await t.notices(erin);
    await old.ask("enter", { roomID });
    await fresh.ask("enter", { roomID });
    await notices.event("user.state.changed", { sessionID: "old", state: "disconnected", event: "kickedOutByOtherDevice" });
    const { data } = await t.heard(roomID).event("session.left", (d) => d.memberList[0].sessionID === "old");
    t.like("the entry of the session that was replaced", data.memberList[0], { reason: "replaced" });
    t.equal("the sessions that are left", (await t.back.ask("members", { roomID, sync: true })).memberList[0].sessions.map((s) => s.sessionID), ["new"]);
  },
};
