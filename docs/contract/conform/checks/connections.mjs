export const about = "a session that names its connection leaves soon after that closes, without waiting for its lease to end";
export const needs = ({ grace }) => grace;
export const without = "which needs --grace: not every deployment hears of closed connections";

const ms = (time) => Date.parse(time);
const idOf = ({ info }) => ({ serverID: info.server_id, clientID: info.client_id });

/** A room with bob in it, and alice with a connection of hers. */
async function named(t, of = "room", leaseSeconds = 3600) {
  const roomID = await t.room(of);
  const [alice, bob] = t.users(`alice of ${of}`, `bob of ${of}`);
  await bob.ask("enter", { roomID });
  const nc = await t.connection();
  await alice.ask("enter", { roomID, leaseSeconds, connection: idOf(nc) });
  return { roomID, alice, nc };
}

export const checks = {
  async "it is put out when the grace is over"(t) {
    const { grace } = t.deployment;
    const { roomID, alice, nc } = await named(t);
    const closed = Date.now();
    await nc.close();
    const { data, time } = await t.heard(roomID).event("member.left", undefined, (grace + 10) * 1000);
    t.like("the entry", data.memberList[0], { userID: alice.userID, reason: "expired" });
    const after = ms(time) - closed;
    t.ok(`it was put out ${grace} to ${grace + 3} s after that`, after > grace * 1000 - 500 && after < (grace + 3) * 1000, `${after} ms`);
  },

  async "if it is back in time, with renew on the new connection, nobody notices"(t) {
    const { roomID, alice, nc } = await named(t);
    const other = await named(t, "other");
    await nc.close();
    const fresh = await t.connection();
    const { rooms } = await alice.ask("renew", { connection: idOf(fresh) });
    t.equal("the rooms", rooms.map((r) => r.roomID), [roomID]);
    await other.nc.close(); // whose end is noticed later
    await t.heard(other.roomID).event("member.left", undefined, (t.deployment.grace + 10) * 1000);
    t.equal("the facts", t.heard(roomID).facts.map((e) => e.name), ["room.created", "member.joined"]);
  },

  async "as long as the connection lives, its session stays, though nobody renews the lease (new)"(t) {
    const { roomID, alice } = await named(t, "room", 5);
    const other = await t.room("other");
    await t.user("carol").ask("enter", { roomID: other, leaseSeconds: 6 }); // without a connection, and later
    await t.heard(other).event("member.left", undefined, 15_000);
    t.equal("where the session is", (await t.back.ask("memberOf", { roomID, userIDs: [alice.userID], sync: true })).memberList.length, 1);
  },
};
