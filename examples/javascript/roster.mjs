// Who is in a room, from the bucket `rooms`, as a back end would have it: it is no member
// and asks the service nothing.
//
//   node roster.mjs lobby [--server nats://127.0.0.1:4222]

import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { Kvm } from "@nats-io/kv";
import { connect } from "@nats-io/transport-node";
import { token } from "./wire.mjs";

/** Gives the room, if it exists, and its members, oldest first: now and after every change. */
export async function* roster(nc, roomID) {
  const bucket = await new Kvm(nc).open("rooms");
  const key = token(roomID);
  const records = new Map();
  for await (const entry of await bucket.watch({ key: [key, `${key}.>`] })) {
    if (entry.operation === "PUT") records.set(entry.key, entry.json());
    else records.delete(entry.key);
    // Members of a room that ended may still be there when another of its name has begun;
    // they are of another instance. One change writes several records, and only when all
    // of them are read do they make as many members as the room counts.
    const room = records.get(key);
    const members = [...records.values()].filter((r) => r !== room && r.instanceID === room?.instanceID);
    if (room ? members.length === room.memberCount : records.size === 0) {
      yield { room, members: members.sort((a, b) => a.joinedAt.localeCompare(b.joinedAt)) };
    }
  }
}

async function main() {
  const { values, positionals: [roomID] } = parseArgs({
    allowPositionals: true,
    options: { server: { type: "string", default: "nats://127.0.0.1:4222" } },
  });
  if (!roomID) throw new Error("which room? node roster.mjs lobby");
  const nc = await connect({ servers: values.server, name: "roster" });
  for await (const { room, members } of roster(nc, roomID)) {
    const who = members.map((m) => (m.sessions.length > 1 ? `${m.userID} (${m.sessions.length} sessions)` : m.userID));
    console.log(room ? `${room.memberCount} in ${roomID}: ${who.join(", ")}` : `there is no room ${roomID}`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  main().catch((err) => {
    console.error(`roster: ${err.message}`);
    process.exitCode = 1;
  });
}
