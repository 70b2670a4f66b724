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
import { connect } from "@nats-io/transport-node";
import { Client, connectOptions, type } from "natsrooms";

// What others wrote must not control the terminal.
const clean = (text) => text.replace(/\p{Cc}/gu, "\ufffd");
const names = (list) => list.map((m) => m.userID).join(", ");

function describe({ fact, fresh, roster }) {
  if (fresh && roster) return `in the room: ${names(roster.members())}`;
  if (fact?.type === type("member.joined")) return `${names(fact.data.memberList)} joined`;
  if (fact?.type === type("member.left")) return `${names(fact.data.memberList)} left`;
}

/** Prints what a loop gives, until the client is closed or nothing more can be heard. */
async function print(loop, describe) {
  for await (const step of loop) {
    const line = describe(step);
    if (line) console.log(line);
  }
}

const complain = (err) => console.error(`chat: ${err.message}`);

/** Sends a line, however long the service is away. */
async function say(client, roomID, data, signal) {
  for (;;) {
    try {
      return await client.send({ roomID, type: "text", data }, { signal });
    } catch (err) {
      if (err.outcome === "none" && ["NO_SERVICE", "DISCONNECTED", "BUSY"].includes(err.code)) continue;
      return complain(new Error(`${err.outcome === "none" ? "not sent" : "perhaps not sent"}: ${data} (${err.message})`));
    }
  }
}

/** Follows the session: it comes back after the end of its lease, and resolves to why it is out for good. */
async function stay(client, roomID, states) {
  for await (const notice of states) {
    if (notice.roomID !== roomID || notice.state !== "disconnected") continue;
    if (!notice.comeBack) return notice.reasonText || notice.event;
    await client.enter({ roomID });
  }
}

async function main() {
  const { values, positionals: [verb, roomID, userID] } = parseArgs({
    allowPositionals: true,
    options: { server: { type: "string", default: "nats://127.0.0.1:4222" }, lease: { type: "string", default: "60" }, token: { type: "string" } },
  });
  if (!["enter", "create", "join"].includes(verb) || !userID) throw new Error("node chat.mjs enter|create|join ROOM USER [--server URL] [--lease SECONDS] [--token FILE]");
  const nc = await connect({ ...connectOptions(values.server, { userID }), name: "chat", token: values.token && readFileSync(values.token, "utf8").trim() });
  const client = new Client(nc, { userID, leaseSeconds: Number(values.lease) });
  const lines = createInterface({ input: process.stdin });
  const typed = lines[Symbol.asyncIterator](); // from now on, so that lines typed early wait
  const end = new AbortController();
  process.once("SIGINT", () => (lines.close(), end.abort()));
  try {
    const states = client.states();
    await client[verb]({ roomID });
    let out = false;
    stay(client, roomID, states).then((why) => why && `: ${why}`, (err) => `: ${err.message}`).then((why) => {
      if (why === undefined) return; // the client was closed
      out = true;
      console.log(`no longer in the room${why}`);
      lines.close();
      end.abort(); // lines that wait can't be sent any more
    });
    const failed = (err) => out || complain(err);
    print(client.watch({ roomID }), describe).catch(failed);
    print(client.messages({ roomID, last: 20 }), ({ data }) => `${data.senderUserID}: ${clean(data.data)}`).catch(failed);
    for await (const line of typed) if (line.trim()) await say(client, roomID, line, end.signal);
    if (!out) await client.leave({ roomID }, { signal: AbortSignal.timeout(15_000) });
  } finally {
    client.close();
    lines.close();
    await nc.drain();
  }
}

main().catch((err) => {
  complain(err);
  process.exitCode = 1;
});
