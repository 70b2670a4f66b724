// A room on the command line: who is in it, who joins and leaves, what is said. Each line
// that you type is sent; the end of the input (Ctrl-D) leaves.
//
//   node chat.mjs enter lobby alice [--server nats://127.0.0.1:4222] [--lease 60] [--token FILE]
//
// Instead of enter, create insists on a new room and join on one that exists. The lease is how
// many seconds the user stays in the room after this program dies; the token is needed if
// roomd requires one.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { nuid } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { enter } from "./room.mjs";
import { server, token, type } from "./wire.mjs";

// What others wrote must not control the terminal.
const clean = (text) => text.replace(/\p{Cc}/gu, "\ufffd");
const names = (list) => list.map((m) => m.userID).join(", ");

function describe(room, event) {
  if (!event) return room.open ? `in the room: ${names([...room.members.values()])}` : "no longer in the room";
  const { memberList, senderUserID, data } = event.data;
  switch (event.type) {
    case type("member.joined"): return `${names(memberList)} joined`;
    case type("member.left"): return `${names(memberList)} left`;
    case type("message.sent"): return `${senderUserID}: ${clean(data)}`;
  }
}

async function main() {
  const { values, positionals: [verb, roomID, userID] } = parseArgs({
    allowPositionals: true,
    options: { server: { type: "string", default: "nats://127.0.0.1:4222" }, lease: { type: "string", default: "60" }, token: { type: "string" } },
  });
  if (!["enter", "create", "join"].includes(verb) || !userID) throw new Error("node chat.mjs enter|create|join ROOM USER [--server URL] [--lease SECONDS] [--token FILE]");
  const nc = await connect({
    ...server(values.server),
    name: "chat",
    token: values.token && readFileSync(values.token, "utf8").trim(),
    inboxPrefix: `_INBOX_${token(userID)}`,
    maxReconnectAttempts: -1,
    pingInterval: 10_000, // so that a dead connection is noticed before the lease ends
  });
  const lines = createInterface({ input: process.stdin });
  const typed = lines[Symbol.asyncIterator](); // from now on, so that lines typed early wait
  try {
    const complain = (err) => console.error(`chat: ${err.message}`);
    const heard = (room, event) => {
      const line = describe(room, event);
      if (line) console.log(line);
      if (!room.open) lines.close();
    };
    const room = await enter(nc, roomID, { userID, sessionID: nuid.next() }, { verb, leaseSeconds: Number(values.lease), heard, failed: complain });
    process.once("SIGINT", () => lines.close());
    for await (const line of typed) {
      if (line) await room.command("send", { type: "text", data: line }).catch(complain);
    }
    if (room.open) await room.command("leave");
    room.close();
  } finally {
    lines.close();
    await nc.drain();
  }
}

main().catch((err) => {
  console.error(`chat: ${err.message}`);
  process.exitCode = 1;
});
