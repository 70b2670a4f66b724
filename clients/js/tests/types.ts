// What a TypeScript program does with the client. It is compiled, not run.
import type { NatsConnection } from "@nats-io/nats-core";
import { Client, connectOptions, RoomError, type Notice, type Update } from "natsrooms";

export async function chat(nc: NatsConnection): Promise<void> {
  const client = new Client(nc, { userID: "alice", leaseSeconds: 60 });
  const { created, sequence } = await client.enter({ roomID: "lobby", config: { delivery: "open" } });
  void [created, sequence];
  for await (const { roster, fact, fresh } of client.watch({ roomID: "lobby" })) {
    const names: string[] = roster?.members().map((m) => m.userName || m.userID) ?? [];
    if (fact?.type === "io.natsrooms.member.left.v1") names.push(...fact.data.memberList.map((m) => m.reason));
    if (fresh === "gap") break;
  }
  for await (const message of client.messages({ roomID: "lobby", last: 20, lost: (after) => void (after + 1) })) {
    void `${message.data.senderUserID}: ${message.data.data}`;
  }
  const states = client.states();
  await states.ready;
  for await (const notice of states) if (notice.state === "disconnected" && notice.comeBack) await client.enter({ roomID: notice.roomID });
  const { until } = await client.ban({ roomID: "lobby", userIDs: ["eve"], seconds: 60 });
  await client.update({ roomID: "lobby", config: { speakers: "hosts" } });
  void until?.length;
  await client.leaveAll();
  try {
    await client.send({ roomID: "lobby", type: "text", data: "hello" }, { signal: AbortSignal.timeout(1000), ordered: false });
  } catch (err) {
    if (err instanceof RoomError && err.outcome === "none") void err.code;
  }
  client.close();
}

export const options: { servers: string } = connectOptions("ws://127.0.0.1:8080", { userID: "alice" });

export const seen = (update: Update): number => update.roster?.size ?? 0;

export const out = ({ event, reasonText }: Notice): string => `${event} ${reasonText}`;

declare const client: Client;
// @ts-expect-error a room is missing
void client.enter({});
// @ts-expect-error there is no such role
void client.setRole({ roomID: "lobby", userIDs: ["bob"], role: "king" });
// @ts-expect-error there is no such verb
void client.dance();
// @ts-expect-error there is no such code
export const wrong = (err: RoomError): boolean => err.code === "NO_WAY";
