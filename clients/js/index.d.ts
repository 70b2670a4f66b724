import type { NatsConnection } from "@nats-io/nats-core";
import type { Commands, ErrorCode, MemberInfo, MessageSent, NoticeData, Room, Verb, WholeFact } from "./contract.js";

export type * from "./contract.js";

export interface Config {
  /** The user of requests that name none. Without one the client is a back end's. */
  userID?: string;
  /** The session of requests that name none: one device or tab. A random one if it is left out. */
  sessionID?: string;
  /** Commands are sent as a back end's, which may act for every user. True if there is no userID. */
  trusted?: boolean;
  /**
   * How long the session stays in its rooms without a sign of life: 5 to 3600 seconds, or 0 for
   * no limit, which only a back end may ask for. If it is left out, 180 in a page, and elsewhere
   * what the service gives: 60, and no limit to a back end.
   */
  leaseSeconds?: number;
  /** How long to wait for the answer to one try, in milliseconds: 15000 if it is left out. */
  timeout?: number;
  /** False sends the commands of a session without waiting for the one before. */
  ordered?: boolean;
}

export interface CallOptions {
  /** Gives up when it is aborted. */
  signal?: AbortSignal;
  /** As in Config, for this command. */
  ordered?: boolean;
}

/** A method for each verb of the service. */
export type Methods = {
  [V in Verb]: {} extends Commands[V]["body"]
    ? (body?: Commands[V]["body"], options?: CallOptions) => Promise<Commands[V]["reply"]>
    : (body: Commands[V]["body"], options?: CallOptions) => Promise<Commands[V]["reply"]>;
};

export interface Client extends Methods {}

/** A user's session on a connection, or a back end. */
export class Client {
  constructor(nc: NatsConnection, config?: Config);
  readonly nc: NatsConnection;
  readonly userID: string;
  readonly sessionID: string;
  readonly trusted: boolean;
  /** Sends a command; every verb is a method too. */
  command<V extends Verb>(verb: V, body: Commands[V]["body"], options?: CallOptions): Promise<Commands[V]["reply"]>;
  /** The room as it is, and then every fact of it once and in order. */
  watch(request: WatchRequest): Stream<Update>;
  /** Every message of a room, each stored one once and in order. */
  messages(request: MessagesRequest): Stream<MessageSent>;
  /** What happens to the client's own session, room by room. */
  states(options?: { signal?: AbortSignal }): Stream<Notice>;
  /** Renews the session's lease now. The client does that by itself when it is due. */
  check(): Promise<unknown>;
  /** Ends all loops and stops renewing. It leaves no room, and commands still work. */
  close(): void;
}

/** An endless sequence for `for await`. */
export interface Stream<T> extends AsyncIterableIterator<T, undefined, void> {
  /** Resolves when it listens. */
  readonly ready: Promise<void>;
  /** Ends the loop quietly. */
  close(): void;
}

interface FollowRequest {
  roomID: string;
  /** Wait for a room that does not exist yet, instead of failing with ROOM_NOT_EXIST. */
  mayNotExist?: boolean;
  /** How often to ask for the room's position if nothing else tells it, in milliseconds: 20000 if it is left out. */
  every?: number;
  /** Ends the loop with its reason. */
  signal?: AbortSignal;
}

export interface WatchRequest extends FollowRequest {}

export interface MessagesRequest extends FollowRequest {
  /** Start with the messages after this one, as far as they are kept; 0 is the oldest. */
  afterMessageSeq?: number;
  /** Start with the newest of those that were said before: so many. */
  last?: number;
  /** Is called if messages after this messageSeq are lost for good. */
  lost?: (afterMessageSeq: number) => void;
  /** Is called if messages were deleted, perhaps more than once; operator is who did it, if that was heard live and was a user. */
  deleted?: (deletion: { roomID: string; instanceID: string; messageSeqs: number[]; operator?: string }) => void;
}

/** One step of a watch. */
export interface Update {
  /** What happened; missing if a snapshot takes its place, or the room was found to be gone. */
  fact?: WholeFact;
  /** Of the fact; missing if it was recovered. */
  revision?: number;
  /** The fact was missed, and then read by history. */
  recovered: boolean;
  /** Why the roster does not follow from the one before: it is the first, of another room of that name, or some facts can not be read any more. */
  fresh?: "start" | "instance" | "gap";
  /** The room after the fact; undefined if there is none. The next update changes it. */
  roster: Roster | undefined;
}

export interface Roster {
  readonly room: Room;
  readonly instanceID: string;
  readonly sequence: number;
  /** How many members there are. */
  readonly size: number;
  /** A member, or undefined. */
  get(userID: string): MemberInfo | undefined;
  /** All members, oldest first. */
  members(): MemberInfo[];
}

/** What happened to the session in a room. */
export interface Notice extends NoticeData {
  time: string;
  /** The session is out because its lease ended, and not by anybody's decision: an application may enter again by itself. */
  comeBack: boolean;
}

/** Why a command failed, or a loop ended. */
export class RoomError extends Error {
  /** What the service says, or the client: that it cannot reach it. */
  code: ErrorCode | "NO_SERVICE" | "NO_ANSWER" | "DISCONNECTED" | "ABORTED" | "CONNECTION_CLOSED";
  /** Whether the command may have had its effect all the same. */
  outcome: "none" | "unknown";
  number?: number;
  field?: string;
  limit?: number;
  actual?: number;
  retryAfterMs?: number;
  /** With BANNED and MUTED: when that ends; missing if only with the room. */
  until?: string;
  /** With REVISION_MISMATCH: what there is now. */
  attributes?: Record<string, string>;
  instanceID?: string;
  sequence?: number;
  revision?: number;
}

/** Options for connect of a NATS package: a server's URL, with a user and password or without, and what suits somebody who stays in rooms. */
export function connectOptions(url: string, options?: { userID?: string }): {
  servers: string; user?: string; pass?: string; inboxPrefix?: string; maxReconnectAttempts: number; pingInterval: number;
};

/** An ID as one token of a subject, key or header. */
export function token(id: string): string;

/** The type of an event, as in type("member.joined"). */
export function type(name: string): string;
