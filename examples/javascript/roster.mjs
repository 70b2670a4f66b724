// Who is in a room, from the bucket `rooms`, as a back end would do it: it is not a member
// and asks the service nothing.
//
//   node roster.mjs lobby [--server nats://127.0.0.1:4222] [--token FILE]
//
// If the server requires credentials, use those of a back end: a user and password in the
// URL, or a token with admin.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { Kvm } from "@nats-io/kv";
import { connect } from "@nats-io/transport-node";
import { connectOptions, token } from "natsrooms";

/**
 * Yields the room, undefined if there is none, and its members, oldest first: as they are
 * now, and then after every change.
 */
export async function* roster(nc, roomID) {
  const bucket = await new Kvm(nc).open("rooms");
  const key = token(roomID);
  const records = new Map();
  let changed = true;
  for await (const entry of await bucket.watch({ key: [key, `${key}.>`, "=projected"] })) {
    if (entry.key !== "=projected") {
      changed = true;
      if (entry.operation === "PUT") records.set(entry.key, entry.json());
      else records.delete(entry.key);
    } else if (changed && !entry.json().torn) {
      // The records of one change are written together, and this key after them: now they match.
      changed = false;
      yield whole(records, key);
    }
  }
}

// A member of an instance of the room that has ended may still have a record.
function whole(records, key) {
  const room = records.get(key);
  const members = [...records.values()].filter((r) => r !== room && r.instanceID === room?.instanceID);
  return { room, members: members.sort((a, b) => a.joinedAt.localeCompare(b.joinedAt)) };
}

async function main() {
  const { values, positionals: [roomID] } = parseArgs({
    allowPositionals: true,
    options: { server: { type: "string", default: "nats://127.0.0.1:4222" }, token: { type: "string" } },
  });
  if (!roomID) throw new Error("which room? node roster.mjs lobby");
  const nc = await connect({ ...connectOptions(values.server), name: "roster", token: values.token && readFileSync(values.token, "utf8").trim() });
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
