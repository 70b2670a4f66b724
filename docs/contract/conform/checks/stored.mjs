import { token } from "../lib/wire.mjs";

export const about = "what back ends can read beside the service: the streams and the bucket of state";

/** The first message of a stream's subject from a sequence on, {seq, hdrs?, data?}, or undefined. */
async function next(t, stream, subject, seq) {
  const reply = await t.nc.request(`$JS.API.STREAM.MSG.GET.${stream}`, JSON.stringify({ seq, next_by_subj: subject }), { timeout: 15_000 });
  return reply.json().message;
}

async function all(t, stream, subject, from) {
  const found = [];
  for (let msg; (msg = await next(t, stream, subject, from)); from = msg.seq + 1) found.push(msg);
  return found;
}

const decode = (base64) => Buffer.from(base64 ?? "", "base64").toString();

export const checks = {
  async "ROOMS has every fact, byte by byte as it was heard"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    const { revision } = await alice.ask("create", { roomID });
    await bob.ask("join", { roomID });
    await bob.ask("leave", { roomID });
    const last = await alice.ask("setAttributes", { roomID, set: { a: "1" } });
    await t.heard(roomID).at(last);
    const stored = await all(t, "ROOMS", `room.evt.${token(roomID)}`, revision);
    t.equal("the facts", stored.map((m) => [m.seq, decode(m.data)]), t.heard(roomID).facts.map((e) => [Number(e.headers.get("Nats-Sequence")), e.text]));
    for (const m of stored) t.ok("a stored fact has the header Content-Type", /^Content-Type: application\/cloudevents\+json\r$/m.test(decode(m.hdrs)), decode(m.hdrs));
  },

  async "ROOM_MESSAGES has every text and custom message, and no other"(t) {
    const roomID = await t.room();
    const alice = t.user("alice");
    await alice.ask("create", { roomID });
    const first = await alice.ask("send", { roomID, type: "text", data: "one" });
    for (const type of ["command", "barrage", "custom"]) await alice.ask("send", { roomID, type, data: type });
    const stored = await all(t, "ROOM_MESSAGES", `room.msg.${token(roomID)}`, first.messageSeq);
    t.equal("the messages", stored.map((m) => JSON.parse(decode(m.data)).data.data), ["one", "custom"]);
  },

  async "the bucket rooms has the room and its members soon after, and nothing of them in the end"(t) {
    const roomID = await t.room();
    const [alice, bob] = t.users("alice", "bob");
    await alice.ask("create", { roomID, config: { roomAttributes: { a: "1" } } });
    const { instanceID } = await bob.ask("join", { roomID });
    const get = async (key) => {
      const msg = await next(t, "KV_rooms", `$KV.rooms.${key}`, 1);
      return msg?.data ? JSON.parse(decode(msg.data)) : undefined;
    };
    const until = async (what, condition) => {
      for (const end = Date.now() + 10_000; ; ) {
        const seen = await Promise.all([get(token(roomID)), get(`${token(roomID)}.${token(bob.userID)}`)]);
        if (condition(...seen)) return seen;
        t.ok(`within 10 s: ${what}`, Date.now() < end, seen);
      }
    };
    const [room, member] = await until("the room has two members, and bob is one", (r, m) => r?.memberCount === 2 && m);
    t.like("the room's record", room, { instanceID, attributes: { a: "1" } });
    t.like("the member's record", member, { instanceID });
    await t.back.ask("destroy", { roomID });
    await until("neither record is there", (r, m) => !r && !m);
  },
};
