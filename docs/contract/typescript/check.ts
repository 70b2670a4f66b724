// What a TypeScript client does with the types. It is compiled, not run.
import type { Commands, ErrorBody, ErrorCode, Fact, MessageSent, UserStateChanged, Verb, WholeFact } from "../natsrooms.js";

declare function ask<V extends Verb>(verb: V, body: Commands[V]["body"]): Promise<Commands[V]["reply"] | ErrorBody>;

export async function enter(roomID: string, userID: string): Promise<number | ErrorCode> {
  const reply = await ask("enter", { roomID, userID, config: { roomDestroyDelayTime: 60, delivery: "open" } });
  return "error" in reply ? reply.error.code : reply.sequence;
}

export function fold(members: Set<string>, fact: Fact): void {
  switch (fact.type) {
    case "io.natsrooms.room.created.v1":
    case "io.natsrooms.member.joined.v1":
      for (const m of fact.data.memberList ?? []) members.add(m.userID);
      break;
    case "io.natsrooms.member.left.v1":
      for (const m of fact.data.memberList) members.delete(m.userID);
      break;
    case "io.natsrooms.room.attributes.changed.v1": {
      const owner: string | null | undefined = fact.data.owners?.["seat-1"];
      void owner;
    }
  }
}

// Of a whole fact nothing is left out.
export function stays(fact: WholeFact): number[] {
  if (fact.type !== "io.natsrooms.member.left.v1") return [fact.data.sequence];
  return fact.data.memberList.map((m) => Date.parse(m.leftAt) - Date.parse(m.joinedAt));
}

export const title = (fact: WholeFact): string => (fact.type === "io.natsrooms.room.created.v1" ? fact.data.room.roomName : fact.data.roomID);

export const place = (fact: Fact): number => fact.data.sequence;

// @ts-expect-error a fact as it is heard may leave its instance to the envelope
export const instance = (fact: Fact): string => fact.data.instanceID;

export const said = (m: MessageSent): string => `${m.data.senderUserID}: ${m.data.data}`;

export const connected = (n: UserStateChanged): boolean => n.data.state === "connected";

// @ts-expect-error there is no such verb
void ask("dance", {});
// @ts-expect-error a room is missing
void ask("join", { userID: "alice" });
// @ts-expect-error a misspelt setting
void ask("create", { roomID: "a", config: { maxMember: 1 } });
