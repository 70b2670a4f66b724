// Made by `make contract` from the schemas beside it. Readers must ignore fields, event types and
// enum values that they do not know: later versions add some.

/** Connection is a client's connection as its NATS server names it in INFO. */
export interface Connection {
  /** server_id */
  serverID: string;
  /** client_id */
  clientID: number;
}

/** RestrictRequest is the body of ban and mute. */
export interface RestrictRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  /** at most 50 */
  userIDs: string[];
  /** 0: as long as the room's instance lives */
  seconds?: number;
  /** at most 256 bytes */
  reason?: string;
}

/** BlockRequest is the body of block. */
export interface BlockRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** 0: until unblock; at most ten years */
  seconds?: number;
  /** at most 256 bytes */
  reason?: string;
  /** the jti of a token: that one is refused, and not the user */
  tokenID?: string;
  /** tokens with an earlier iat, or none, are refused, and not the user */
  issuedBefore?: string;
}

/** BlockedRequest is the body of blocked. */
export interface BlockedRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** of the page before; empty for the first */
  nextFlag?: string;
  /** 1 to 500; 0: 500 */
  count?: number;
}

/** ReadRequest is the body of get. */
export interface ReadRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** wait until this revision has been seen */
  minRevision?: number;
  /** wait for everything stored before the request */
  sync?: boolean;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
}

/** RoomConfig is what a creator may choose. */
export interface RoomConfig {
  /** at most 64, with keys of 1 to 64 bytes and values of at most 4096, unless set otherwise */
  roomAttributes?: Record<string, string>;
  /** seconds, 0 to 10800 */
  roomDestroyDelayTime?: number;
  maxMembers?: number;
  delivery?: "members" | "open";
  access?: "open" | "listed" | "token";
  /** at most 500 */
  allowedUsers?: string[];
  /** true if not given */
  historyForJoiners?: boolean;
  /** open, owned */
  attributes?: "open" | "owned";
  /** all, hosts */
  speakers?: "all" | "hosts";
  /** none, creator */
  hosts?: "none" | "creator";
}

/** CreateRequest is the body of create and enter. */
export interface CreateRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  /** at most 64 bytes unless room-name is set otherwise, and never more than 1024 */
  roomName?: string;
  config?: RoomConfig;
}

/** DeleteMessagesRequest is the body of deleteMessages. */
export interface DeleteMessagesRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  /** of the messages; empty: the room as it is now */
  instanceID?: string;
  /** at most 100 */
  messageSeqs?: number[];
  /** all messages of this user, a page at a time; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  ofUserID?: string;
  /** with ofUserID: of the reply before */
  nextFlag?: string;
}

/** DestroyRequest is the body of destroy. */
export interface DestroyRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  /** at most 256 bytes */
  reason?: string;
}

/** EraseUserRequest is the body of eraseUser; its userID is the user whose messages are erased. */
export interface EraseUserRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** of the reply before */
  nextFlag?: string;
}

/** HistoryRequest is the body of history. */
export interface HistoryRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** wait until this revision has been seen */
  minRevision?: number;
  /** wait for everything stored before the request */
  sync?: boolean;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  instanceID: string;
  afterSequence?: number;
  afterMessageSeq?: number;
  beforeMessageSeq?: number;
  nextFlag?: string;
  /** 1 to 500; 0: 500 */
  count?: number;
}

/** InstancesRequest is the body of instances. */
export interface InstancesRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** wait until this revision has been seen */
  minRevision?: number;
  /** wait for everything stored before the request */
  sync?: boolean;
  /** of the page before; empty for the first */
  nextFlag?: string;
  /** 1 to 500; 0: 500 */
  count?: number;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
}

/** RoomRequest is the body of join and leave. */
export interface RoomRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
}

/** KickRequest is the body of kick. */
export interface KickRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  /** at most 50 */
  userIDs: string[];
  /** at most 256 bytes */
  reason?: string;
}

/** LeaveAllRequest is the body of leaveAll. */
export interface LeaveAllRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
}

/** ListRequest is the body of list. */
export interface ListRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** wait until this revision has been seen */
  minRevision?: number;
  /** wait for everything stored before the request */
  sync?: boolean;
  /** of the page before; empty for the first */
  nextFlag?: string;
  /** 1 to 500; 0: 500 */
  count?: number;
  prefix?: string;
}

/** MemberOfRequest is the body of memberOf. */
export interface MemberOfRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** wait until this revision has been seen */
  minRevision?: number;
  /** wait for everything stored before the request */
  sync?: boolean;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  /** at most 100 */
  userIDs: string[];
}

/** MembersRequest is the body of members. */
export interface MembersRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** wait until this revision has been seen */
  minRevision?: number;
  /** wait for everything stored before the request */
  sync?: boolean;
  /** of the page before; empty for the first */
  nextFlag?: string;
  /** 1 to 500; 0: 500 */
  count?: number;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  /** trusted form only: who was in at that moment; any RFC 3339 time */
  at?: string;
}

/** Stay is an instance of a room that a session is in, or was in. */
export interface Stay {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  instanceID: string;
}

/** RenewRequest is the body of renew. */
export interface RenewRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  nextFlag?: string;
  /** at most 100: where the session thinks it is; only without nextFlag */
  rooms?: Stay[];
}

/** RoomsRequest is the body of rooms. */
export interface RoomsRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** wait until this revision has been seen */
  minRevision?: number;
  /** wait for everything stored before the request */
  sync?: boolean;
  nextFlag?: string;
}

/** SendRequest is the body of send. */
export interface SendRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  /** text, custom, command, barrage */
  type: "text" | "custom" | "command" | "barrage";
  subType?: number;
  /** at most 32768 bytes unless message-data is set otherwise, and never more than 49152 */
  data: string;
  /** low, medium, high */
  priority?: "low" | "medium" | "high";
  /** at most 1024 bytes */
  extendedData?: string;
}

/** SetAccessRequest is the body of setAccess. */
export interface SetAccessRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  /** open, listed, token; unchanged if empty */
  access?: "open" | "listed" | "token";
  /** at most 500 */
  allow?: string[];
  /** at most 500; members stay in the room */
  disallow?: string[];
}

/** SetAttributesRequest is the body of setAttributes: one change to several attributes together. */
export interface SetAttributesRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  /** at most 64, with keys of 1 to 64 bytes and values of at most 4096, unless set otherwise */
  set?: Record<string, string>;
  delete?: string[];
  /** also attributes that others own */
  isForce?: boolean;
  /** the caller becomes the owner of what is set */
  isUpdateOwner?: boolean;
  /** not given: unchanged; false for new attributes */
  isDeleteAfterOwnerLeft?: boolean;
  /** refuse if attributes were changed after this revision */
  ifRevision?: number;
}

/** SetMemberAttributesRequest is the body of setMemberAttributes. */
export interface SetMemberAttributesRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  /** at most 100 */
  userIDs: string[];
  /** at most 30, with keys of 1 to 64 bytes and values of at most 1024, unless set otherwise */
  attributes: Record<string, string>;
  /** true if not given */
  isDeleteAfterOwnerLeft?: boolean;
}

/** SetRoleRequest is the body of setRole. */
export interface SetRoleRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  /** at most 100 */
  userIDs: string[];
  /** host, member */
  role: "member" | "host";
}

/** RoomInfo names the room that a switch goes to. */
export interface RoomInfo {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  /** at most 64 bytes unless room-name is set otherwise, and never more than 1024 */
  roomName?: string;
}

/** SwitchRequest is the body of switch. */
export interface SwitchRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  fromRoomID: string;
  toRoomInfo: RoomInfo;
  isCreateWhenRoomNotExisted?: boolean;
  config?: RoomConfig;
}

/** LiftRequest is the body of unban and unmute. */
export interface LiftRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  /** at most 50 */
  userIDs: string[];
}

/** UnblockRequest is the body of unblock. */
export interface UnblockRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** tokens that were revoked are good again too */
  tokens?: boolean;
}

/** ConfigUpdate is what may be changed of a room's configuration. */
export interface ConfigUpdate {
  /** seconds, 0 to 10800 */
  roomDestroyDelayTime?: number;
  /** 0: only the service's own limit; members stay */
  maxMembers?: number;
  historyForJoiners?: boolean;
  /** open, owned */
  attributes?: "open" | "owned";
  /** all, hosts */
  speakers?: "all" | "hosts";
  /** none, creator; a change decides anew about the creator */
  hosts?: "none" | "creator";
}

/** UpdateRequest is the body of update. */
export interface UpdateRequest {
  /** in the user form the subject names the user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID?: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  /** one JSON object, at most 1 KiB */
  userInfo?: Record<string, unknown>;
  /** "default" if empty; at most 64 bytes */
  sessionID?: string;
  /** 1 to 64 characters, random */
  requestID?: string;
  /** LeaseSeconds is how long the session stays in its rooms without a sign of life: 5 to
3600, or 0 for no limit, which only trusted callers may ask for. The newest value that
a session asked for counts. A session that asks for nothing gets, with its first room,
60 s in the user form and no lease in the trusted form. */
  leaseSeconds?: number;
  /** Connection is the session's own connection: when it closes, the session is considered
gone without waiting for its lease to end. */
  connection?: Connection;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  /** at most 64 bytes unless room-name is set otherwise, and never more than 1024 */
  roomName?: string;
  config?: ConfigUpdate;
}

/** ErrorInfo is a refusal on the wire. */
export interface ErrorInfo {
  code: "PARAM_INVALID" | "RATE_LIMITED" | "USER_ALREADY_IN_ROOM" | "USER_NOT_IN_ROOM" | "ROOM_NOT_EXIST" | "ROOM_ALREADY_EXISTS" | "ROOM_LIMIT" | "USER_ROOM_LIMIT" | "ROOM_ATTRIBUTE_COUNT" | "ROOM_ATTRIBUTE_KEY" | "ROOM_ATTRIBUTE_VALUE" | "ROOM_ATTRIBUTE_TOTAL" | "MEMBER_ATTRIBUTE_TOTAL" | "MEMBER_ATTRIBUTE_KEY" | "MEMBER_ATTRIBUTE_VALUE" | "NOT_ALLOWED" | "ROOM_FULL" | "REVISION_MISMATCH" | "MESSAGE_TOO_LONG" | "BUSY" | "UNAVAILABLE" | "BANNED" | "MUTED" | "BLOCKED";
  number: number;
  message: string;
  field?: string;
  limit?: number;
  actual?: number;
  retryAfterMs?: number;
  outcome: "none" | "unknown";
  appCode?: string;
  /** BANNED, MUTED and BLOCKED: when it ends, if it does so by itself and that is known */
  until?: string;
}

/** ErrorBody is the body of every refusal. */
export interface ErrorBody {
  error: ErrorInfo;
  /** at most 64, with keys of 1 to 64 bytes and values of at most 4096, unless set otherwise */
  attributes?: Record<string, string>;
  instanceID?: string;
  sequence?: number;
  revision?: number;
}

/** MemberAttributes are attributes of one member that were set. */
export interface MemberAttributes {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID: string;
  /** at most 30, with keys of 1 to 64 bytes and values of at most 1024, unless set otherwise */
  attributes: Record<string, string>;
}

export interface MemberAttributesData {
  /** absent: the event's subject; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID?: string;
  /** absent: the event's roominstance */
  instanceID?: string;
  sequence: number;
  infos: MemberAttributes[];
  /** absent: true */
  deleteAfterOwnerLeft?: boolean;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID: string;
  requestID?: string;
}

export interface WholeMemberAttributesData extends MemberAttributesData {
  roomID: string;
  instanceID: string;
  deleteAfterOwnerLeft: boolean;
}

/** attributes of members were set */
export interface MemberAttributesChanged {
  specversion: "1.0";
  /** unique */
  id: string;
  /** the room as one token, and its instance */
  source: string;
  type: "io.natsrooms.member.attributes.changed.v1";
  /** the room's ID */
  subject: string;
  datacontenttype: "application/json";
  /** never earlier than that of the room's previous event; three digits of milliseconds, or fewer in facts from before that was so */
  time: string;
  /** the room's instance */
  roominstance: string;
  /** the room's ID */
  partitionkey: string;
  /** the number of the fact, 1, 2, 3, ... in its instance, with 20 digits: the CloudEvents Sequence extension */
  sequence: string;
  /** W3C Trace Context of the command that caused the fact, if exactly one did */
  traceparent?: string;
  data: MemberAttributesData;
}

export interface WholeMemberAttributesChanged extends MemberAttributesChanged {
  data: WholeMemberAttributesData;
}

/** Joined is one session that joins. */
export interface Joined {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024; absent: empty */
  userName?: string;
  userInfo?: Record<string, unknown>;
  /** at most 64 bytes */
  sessionID: string;
  /** absent: the event's time */
  joinedAt?: string;
  /** absent: enter */
  via?: "create" | "join" | "enter" | "switch";
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  fromRoomID?: string;
  requestID?: string;
  /** host, or none */
  role?: "member" | "host";
  /** how long it stays without a sign of life; 0: without limit */
  leaseSeconds?: number;
  /** Attributes are those that the member has from the start: what it left behind last
time, or everything it had if the room continues as a new instance. Those in
DeleteAfterOwnerLeft go when it leaves; the others outlive the membership.; at most 30, with keys of 1 to 64 bytes and values of at most 1024, unless set otherwise */
  attributes?: Record<string, string>;
  deleteAfterOwnerLeft?: string[];
}

export interface WholeJoined extends Joined {
  userName: string;
  joinedAt: string;
  via: "create" | "join" | "enter" | "switch";
}

export interface JoinedData {
  /** absent: the event's subject; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID?: string;
  /** absent: the event's roominstance */
  instanceID?: string;
  sequence: number;
  memberList: Joined[];
  memberCount: number;
}

export interface WholeJoinedData extends JoinedData {
  roomID: string;
  instanceID: string;
  memberList: WholeJoined[];
}

/** users join, with their first session */
export interface MemberJoined {
  specversion: "1.0";
  /** unique */
  id: string;
  /** the room as one token, and its instance */
  source: string;
  type: "io.natsrooms.member.joined.v1";
  /** the room's ID */
  subject: string;
  datacontenttype: "application/json";
  /** never earlier than that of the room's previous event; three digits of milliseconds, or fewer in facts from before that was so */
  time: string;
  /** the room's instance */
  roominstance: string;
  /** the room's ID */
  partitionkey: string;
  /** the number of the fact, 1, 2, 3, ... in its instance, with 20 digits: the CloudEvents Sequence extension */
  sequence: string;
  /** W3C Trace Context of the command that caused the fact, if exactly one did */
  traceparent?: string;
  data: JoinedData;
}

export interface WholeMemberJoined extends MemberJoined {
  data: WholeJoinedData;
}

/** Left is one session that leaves. */
export interface Left {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024; absent: empty */
  userName?: string;
  /** at most 64 bytes */
  sessionID: string;
  /** absent: the event's time */
  joinedAt?: string;
  /** absent: the event's time */
  leftAt?: string;
  /** absent: left */
  reason?: "left" | "switched" | "expired" | "replaced" | "kicked" | "destroyed";
  /** at most 256 bytes */
  reasonText?: string;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  toRoomID?: string;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  operator?: string;
  requestID?: string;
}

export interface WholeLeft extends Left {
  userName: string;
  joinedAt: string;
  leftAt: string;
  reason: "left" | "switched" | "expired" | "replaced" | "kicked" | "destroyed";
}

export interface LeftData {
  /** absent: the event's subject; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID?: string;
  /** absent: the event's roominstance */
  instanceID?: string;
  sequence: number;
  memberList: Left[];
  memberCount: number;
  deletedAttributes?: string[];
}

export interface WholeLeftData extends LeftData {
  roomID: string;
  instanceID: string;
  memberList: WholeLeft[];
}

/** users leave, with their last session; `leftAt - joinedAt` is the stay */
export interface MemberLeft {
  specversion: "1.0";
  /** unique */
  id: string;
  /** the room as one token, and its instance */
  source: string;
  type: "io.natsrooms.member.left.v1";
  /** the room's ID */
  subject: string;
  datacontenttype: "application/json";
  /** never earlier than that of the room's previous event; three digits of milliseconds, or fewer in facts from before that was so */
  time: string;
  /** the room's instance */
  roominstance: string;
  /** the room's ID */
  partitionkey: string;
  /** the number of the fact, 1, 2, 3, ... in its instance, with 20 digits: the CloudEvents Sequence extension */
  sequence: string;
  /** W3C Trace Context of the command that caused the fact, if exactly one did */
  traceparent?: string;
  data: LeftData;
}

export interface WholeMemberLeft extends MemberLeft {
  data: WholeLeftData;
}

/** MemberUpdate is what has changed about one member. */
export interface MemberUpdate {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName?: string;
  userInfo?: Record<string, unknown>;
  role?: "member" | "host";
  /** of the member's own request */
  requestID?: string;
}

export interface MemberUpdatedData {
  /** absent: the event's subject; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID?: string;
  /** absent: the event's roominstance */
  instanceID?: string;
  sequence: number;
  infos: MemberUpdate[];
  /** who gave roles; absent: empty, the members themselves or a back end that named no user; an ID, or empty for nobody */
  userID?: string;
  requestID?: string;
}

export interface WholeMemberUpdatedData extends MemberUpdatedData {
  roomID: string;
  instanceID: string;
  userID: string;
}

/** members have another name, info or role */
export interface MemberUpdated {
  specversion: "1.0";
  /** unique */
  id: string;
  /** the room as one token, and its instance */
  source: string;
  type: "io.natsrooms.member.updated.v1";
  /** the room's ID */
  subject: string;
  datacontenttype: "application/json";
  /** never earlier than that of the room's previous event; three digits of milliseconds, or fewer in facts from before that was so */
  time: string;
  /** the room's instance */
  roominstance: string;
  /** the room's ID */
  partitionkey: string;
  /** the number of the fact, 1, 2, 3, ... in its instance, with 20 digits: the CloudEvents Sequence extension */
  sequence: string;
  /** W3C Trace Context of the command that caused the fact, if exactly one did */
  traceparent?: string;
  data: MemberUpdatedData;
}

export interface WholeMemberUpdated extends MemberUpdated {
  data: WholeMemberUpdatedData;
}

export interface DeletionData {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  instanceID: string;
  /** of the messages */
  messageSeqs: number[];
  /** who deleted them; none: a back end that named no user; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  operator?: string;
  /** of the command */
  requestID?: string;
}

/** messages of the room were deleted: nobody can read them any more */
export interface MessageDeleted {
  specversion: "1.0";
  /** unique */
  id: string;
  /** the room as one token, and its instance */
  source: string;
  type: "io.natsrooms.message.deleted.v1";
  /** the room's ID */
  subject: string;
  datacontenttype: "application/json";
  /** never earlier than that of the room's previous event; three digits of milliseconds, or fewer in facts from before that was so */
  time: string;
  /** the room's instance */
  roominstance: string;
  /** the room's ID */
  partitionkey: string;
  data: DeletionData;
}

export interface MessageData {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  instanceID: string;
  messageID: string;
  messageSeq?: number;
  afterSequence?: number;
  /** an ID, or empty for nobody */
  senderUserID: string;
  type: "text" | "custom" | "command" | "barrage";
  subType?: number;
  /** at most 32768 bytes unless message-data is set otherwise, and never more than 49152 */
  data: string;
  priority: "low" | "medium" | "high";
  /** at most 1024 bytes */
  extendedData?: string;
  /** milliseconds */
  timestamp: number;
}

/** something is said in the room */
export interface MessageSent {
  specversion: "1.0";
  /** unique */
  id: string;
  /** the room as one token, and its instance */
  source: string;
  type: "io.natsrooms.message.sent.v1";
  /** the room's ID */
  subject: string;
  datacontenttype: "application/json";
  /** never earlier than that of the room's previous event; three digits of milliseconds, or fewer in facts from before that was so */
  time: string;
  /** the room's instance */
  roominstance: string;
  /** the room's ID */
  partitionkey: string;
  data: MessageData;
}

export interface AccessData {
  /** absent: the event's subject; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID?: string;
  /** absent: the event's roominstance */
  instanceID?: string;
  sequence: number;
  access: "open" | "listed" | "token";
  /** absent: [] */
  allowedUsers?: string[];
  /** those that changed */
  bans?: Restriction[];
  /** those that changed */
  mutes?: Restriction[];
  /** absent: empty, a back end that named no user; an ID, or empty for nobody */
  userID?: string;
  requestID?: string;
}

export interface WholeAccessData extends AccessData {
  roomID: string;
  instanceID: string;
  allowedUsers: string[];
  userID: string;
}

/** Restriction is what a room says about one user: that it may not come in, or not speak. */
export interface Restriction {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID: string;
  /** none: as long as the room's instance exists */
  until?: string;
  /** at most 256 bytes */
  reason?: string;
  /** true: it is over */
  lifted?: boolean;
}

/** who may join, or speak, as an end user has changed: the list, bans, mutes */
export interface RoomAccessChanged {
  specversion: "1.0";
  /** unique */
  id: string;
  /** the room as one token, and its instance */
  source: string;
  type: "io.natsrooms.room.access.changed.v1";
  /** the room's ID */
  subject: string;
  datacontenttype: "application/json";
  /** never earlier than that of the room's previous event; three digits of milliseconds, or fewer in facts from before that was so */
  time: string;
  /** the room's instance */
  roominstance: string;
  /** the room's ID */
  partitionkey: string;
  /** the number of the fact, 1, 2, 3, ... in its instance, with 20 digits: the CloudEvents Sequence extension */
  sequence: string;
  /** W3C Trace Context of the command that caused the fact, if exactly one did */
  traceparent?: string;
  data: AccessData;
}

export interface WholeRoomAccessChanged extends RoomAccessChanged {
  data: WholeAccessData;
}

/** AttributesChange is one command's part in a fact. */
export interface AttributesChange {
  /** an ID, or empty for nobody */
  userID: string;
  requestID?: string;
  set?: string[];
  delete?: string[];
  /** owned by somebody else, left unchanged */
  errorKeys?: string[];
}

export interface AttributesData {
  /** absent: the event's subject; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID?: string;
  /** absent: the event's roominstance */
  instanceID?: string;
  sequence: number;
  /** absent: {}; at most 64, with keys of 1 to 64 bytes and values of at most 4096, unless set otherwise */
  set?: Record<string, string>;
  /** absent: [] */
  delete?: string[];
  /** by key; null: nobody owns it; absent: userID owns all of set */
  owners?: Record<string, string | null>;
  /** of these keys */
  deleteAfterOwnerLeft?: string[];
  /** an ID, or empty for nobody */
  userID: string;
  changes: AttributesChange[];
}

export interface WholeAttributesData extends AttributesData {
  roomID: string;
  instanceID: string;
  set: Record<string, string>;
  delete: string[];
  owners: Record<string, string | null>;
}

/** attributes of the room were set or deleted; whose they are, and by whom */
export interface RoomAttributesChanged {
  specversion: "1.0";
  /** unique */
  id: string;
  /** the room as one token, and its instance */
  source: string;
  type: "io.natsrooms.room.attributes.changed.v1";
  /** the room's ID */
  subject: string;
  datacontenttype: "application/json";
  /** never earlier than that of the room's previous event; three digits of milliseconds, or fewer in facts from before that was so */
  time: string;
  /** the room's instance */
  roominstance: string;
  /** the room's ID */
  partitionkey: string;
  /** the number of the fact, 1, 2, 3, ... in its instance, with 20 digits: the CloudEvents Sequence extension */
  sequence: string;
  /** W3C Trace Context of the command that caused the fact, if exactly one did */
  traceparent?: string;
  data: AttributesData;
}

export interface WholeRoomAttributesChanged extends RoomAttributesChanged {
  data: WholeAttributesData;
}

/** Config is what a room's creator chose. */
export interface Config {
  /** seconds, 0 to 10800 */
  roomDestroyDelayTime?: number;
  /** 0: only the service's own limit */
  maxMembers?: number;
  /** "members" or "open" */
  delivery?: "members" | "open";
  /** who may join as an end user: "open", "listed" or "token" */
  access?: "open" | "listed" | "token";
  /** whether a member may read messages from before it joined; true if not given */
  historyForJoiners?: boolean;
  /** who may change what others own: "open", everybody by isForce, or "owned", hosts */
  attributes?: "open" | "owned";
  /** who may send as an end user: "all" or "hosts" */
  speakers?: "all" | "hosts";
  /** whether the creator is a host: "none" or "creator" */
  hosts?: "none" | "creator";
  /** who may join when access is "listed" */
  allowedUsers?: string[];
}

export interface CreatedData {
  /** absent: the event's subject; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID?: string;
  /** absent: the event's roominstance */
  instanceID?: string;
  sequence: number;
  room: FactRoom;
  /** absent: [] */
  memberList?: Joined[];
  requestID?: string;
  /** by key; null: nobody owns it */
  owners?: Record<string, string | null>;
  /** of these keys */
  deleteAfterOwnerLeft?: string[];
}

export interface WholeCreatedData extends CreatedData {
  roomID: string;
  instanceID: string;
  room: WholeFactRoom;
  memberList: WholeJoined[];
}

export interface FactRoom {
  /** absent: the event's subject; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID?: string;
  /** at most 64 bytes unless room-name is set otherwise, and never more than 1024; absent: empty */
  roomName?: string;
  /** absent: the event's roominstance */
  instanceID?: string;
  /** absent: the event's time */
  createdAt?: string;
  /** absent: empty, it was made without a user; an ID, or empty for nobody */
  createdBy?: string;
  /** absent: {}, nothing was chosen */
  config?: Config;
  /** absent: {}; at most 64, with keys of 1 to 64 bytes and values of at most 4096, unless set otherwise */
  attributes?: Record<string, string>;
  /** absent: as many as memberList has entries */
  memberCount?: number;
  /** absent: as beside it, in the data */
  sequence?: number;
  revision?: number;
  destroyAt?: string;
}

export interface WholeFactRoom extends FactRoom {
  roomID: string;
  roomName: string;
  instanceID: string;
  createdAt: string;
  createdBy: string;
  config: Config;
  attributes: Record<string, string>;
  memberCount: number;
  sequence: number;
}

/** a room begins; its first members are in it */
export interface RoomCreated {
  specversion: "1.0";
  /** unique */
  id: string;
  /** the room as one token, and its instance */
  source: string;
  type: "io.natsrooms.room.created.v1";
  /** the room's ID */
  subject: string;
  datacontenttype: "application/json";
  /** never earlier than that of the room's previous event; three digits of milliseconds, or fewer in facts from before that was so */
  time: string;
  /** the room's instance */
  roominstance: string;
  /** the room's ID */
  partitionkey: string;
  /** the number of the fact, 1, 2, 3, ... in its instance, with 20 digits: the CloudEvents Sequence extension */
  sequence: string;
  /** W3C Trace Context of the command that caused the fact, if exactly one did */
  traceparent?: string;
  data: CreatedData;
}

export interface WholeRoomCreated extends RoomCreated {
  data: WholeCreatedData;
}

export interface DestroyedData {
  /** absent: the event's subject; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID?: string;
  /** absent: the event's roominstance */
  instanceID?: string;
  sequence: number;
  room: FactRoom;
  reason: "empty" | "requested";
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  operator?: string;
  requestID?: string;
}

export interface WholeDestroyedData extends DestroyedData {
  roomID: string;
  instanceID: string;
  room: WholeFactRoom;
}

/** the room ends; the last fact of its instance */
export interface RoomDestroyed {
  specversion: "1.0";
  /** unique */
  id: string;
  /** the room as one token, and its instance */
  source: string;
  type: "io.natsrooms.room.destroyed.v1";
  /** the room's ID */
  subject: string;
  datacontenttype: "application/json";
  /** never earlier than that of the room's previous event; three digits of milliseconds, or fewer in facts from before that was so */
  time: string;
  /** the room's instance */
  roominstance: string;
  /** the room's ID */
  partitionkey: string;
  /** the number of the fact, 1, 2, 3, ... in its instance, with 20 digits: the CloudEvents Sequence extension */
  sequence: string;
  /** W3C Trace Context of the command that caused the fact, if exactly one did */
  traceparent?: string;
  data: DestroyedData;
}

export interface WholeRoomDestroyed extends RoomDestroyed {
  data: WholeDestroyedData;
}

export interface KeptData {
  /** absent: the event's subject; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID?: string;
  /** absent: the event's roominstance */
  instanceID?: string;
  sequence: number;
}

export interface WholeKeptData extends KeptData {
  roomID: string;
  instanceID: string;
}

/** nothing changed; a quiet room keeps a fact in the journal */
export interface RoomKept {
  specversion: "1.0";
  /** unique */
  id: string;
  /** the room as one token, and its instance */
  source: string;
  type: "io.natsrooms.room.kept.v1";
  /** the room's ID */
  subject: string;
  datacontenttype: "application/json";
  /** never earlier than that of the room's previous event; three digits of milliseconds, or fewer in facts from before that was so */
  time: string;
  /** the room's instance */
  roominstance: string;
  /** the room's ID */
  partitionkey: string;
  /** the number of the fact, 1, 2, 3, ... in its instance, with 20 digits: the CloudEvents Sequence extension */
  sequence: string;
  /** W3C Trace Context of the command that caused the fact, if exactly one did */
  traceparent?: string;
  data: KeptData;
}

export interface WholeRoomKept extends RoomKept {
  data: WholeKeptData;
}

export interface UpdatedData {
  /** absent: the event's subject; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID?: string;
  /** absent: the event's roominstance */
  instanceID?: string;
  sequence: number;
  /** at most 64 bytes unless room-name is set otherwise, and never more than 1024; absent: empty */
  roomName?: string;
  config: Config;
  /** the creator's role, where config.hosts changes it, whether the creator is in or not */
  infos?: MemberUpdate[];
  /** absent: empty, a back end that named no user; an ID, or empty for nobody */
  userID?: string;
  requestID?: string;
}

export interface WholeUpdatedData extends UpdatedData {
  roomID: string;
  instanceID: string;
  roomName: string;
  userID: string;
}

/** the room's name or configuration has changed */
export interface RoomUpdated {
  specversion: "1.0";
  /** unique */
  id: string;
  /** the room as one token, and its instance */
  source: string;
  type: "io.natsrooms.room.updated.v1";
  /** the room's ID */
  subject: string;
  datacontenttype: "application/json";
  /** never earlier than that of the room's previous event; three digits of milliseconds, or fewer in facts from before that was so */
  time: string;
  /** the room's instance */
  roominstance: string;
  /** the room's ID */
  partitionkey: string;
  /** the number of the fact, 1, 2, 3, ... in its instance, with 20 digits: the CloudEvents Sequence extension */
  sequence: string;
  /** W3C Trace Context of the command that caused the fact, if exactly one did */
  traceparent?: string;
  data: UpdatedData;
}

export interface WholeRoomUpdated extends RoomUpdated {
  data: WholeUpdatedData;
}

/** a further device of a member */
export interface SessionJoined {
  specversion: "1.0";
  /** unique */
  id: string;
  /** the room as one token, and its instance */
  source: string;
  type: "io.natsrooms.session.joined.v1";
  /** the room's ID */
  subject: string;
  datacontenttype: "application/json";
  /** never earlier than that of the room's previous event; three digits of milliseconds, or fewer in facts from before that was so */
  time: string;
  /** the room's instance */
  roominstance: string;
  /** the room's ID */
  partitionkey: string;
  /** the number of the fact, 1, 2, 3, ... in its instance, with 20 digits: the CloudEvents Sequence extension */
  sequence: string;
  /** W3C Trace Context of the command that caused the fact, if exactly one did */
  traceparent?: string;
  data: JoinedData;
}

export interface WholeSessionJoined extends SessionJoined {
  data: WholeJoinedData;
}

/** one of a member's several devices leaves */
export interface SessionLeft {
  specversion: "1.0";
  /** unique */
  id: string;
  /** the room as one token, and its instance */
  source: string;
  type: "io.natsrooms.session.left.v1";
  /** the room's ID */
  subject: string;
  datacontenttype: "application/json";
  /** never earlier than that of the room's previous event; three digits of milliseconds, or fewer in facts from before that was so */
  time: string;
  /** the room's instance */
  roominstance: string;
  /** the room's ID */
  partitionkey: string;
  /** the number of the fact, 1, 2, 3, ... in its instance, with 20 digits: the CloudEvents Sequence extension */
  sequence: string;
  /** W3C Trace Context of the command that caused the fact, if exactly one did */
  traceparent?: string;
  data: LeftData;
}

export interface WholeSessionLeft extends SessionLeft {
  data: WholeLeftData;
}

export interface NoticeData {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  instanceID?: string;
  sequence?: number;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID: string;
  /** at most 64 bytes */
  sessionID: string;
  state: "disconnected" | "connecting" | "connected";
  event: "success" | "networkInterrupted" | "networkDisconnected" | "roomNotExist" | "activeCreate" | "createFailed" | "activeEnter" | "enterFailed" | "kickedOut" | "connectTimeout" | "kickedOutByOtherDevice" | "activeSwitch" | "switchFailed";
  stateCode: number;
  eventCode: number;
  error?: NoticeError;
  /** at most 256 bytes */
  reasonText?: string;
  requestID?: string;
}

/** NoticeError is the refusal inside a notice. */
export interface NoticeError {
  code: "PARAM_INVALID" | "RATE_LIMITED" | "USER_ALREADY_IN_ROOM" | "USER_NOT_IN_ROOM" | "ROOM_NOT_EXIST" | "ROOM_ALREADY_EXISTS" | "ROOM_LIMIT" | "USER_ROOM_LIMIT" | "ROOM_ATTRIBUTE_COUNT" | "ROOM_ATTRIBUTE_KEY" | "ROOM_ATTRIBUTE_VALUE" | "ROOM_ATTRIBUTE_TOTAL" | "MEMBER_ATTRIBUTE_TOTAL" | "MEMBER_ATTRIBUTE_KEY" | "MEMBER_ATTRIBUTE_VALUE" | "NOT_ALLOWED" | "ROOM_FULL" | "REVISION_MISMATCH" | "MESSAGE_TOO_LONG" | "BUSY" | "UNAVAILABLE" | "BANNED" | "MUTED" | "BLOCKED";
  number: number;
  /** BANNED: when it ends, if it does so before the room's instance */
  until?: string;
}

/** a notice to one user's devices: connecting, connected, disconnected and why */
export interface UserStateChanged {
  specversion: "1.0";
  /** unique */
  id: string;
  /** the room as one token, and its instance */
  source: string;
  type: "io.natsrooms.user.state.changed.v1";
  /** the room's ID */
  subject: string;
  datacontenttype: "application/json";
  /** never earlier than that of the room's previous event; three digits of milliseconds, or fewer in facts from before that was so */
  time: string;
  data: NoticeData;
}

/** Deny refuses a command with NOT_ALLOWED. */
export interface HookDeny {
  /** for the user; cut after 1 KiB */
  message?: string;
  /** the application's own, which clients find in appCode */
  code?: string | number;
}

/** Replace changes what is said. */
export interface HookReplace {
  data?: string;
  /** at most 1024 bytes */
  extendedData?: string;
}

/** Answer is what the application says. */
export interface HookAnswer {
  deny?: HookDeny;
  /** send only */
  replace?: HookReplace;
  /** send only: it succeeds, and nobody hears it */
  silent?: boolean;
}

/** Question is what the application is asked. */
export interface HookQuestion {
  verb: "send" | "enter" | "join" | "create" | "switch";
  /** of a switch, where it goes; an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  /** of the room as it is now; absent: there is none */
  instanceID?: string;
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID: string;
  /** at most 64 bytes */
  sessionID: string;
  /** of the request, as it came */
  body: Record<string, unknown>;
}

export interface WholeHookQuestion extends HookQuestion {
  instanceID: string;
}

/** RestrictedReply answers ban, unban, mute and unmute. */
export interface RestrictedReply {
  /** for whom it holds now */
  userIDs: string[];
  /** when it ends, if it does so before the room's instance */
  until?: string;
  instanceID: string;
  sequence: number;
  revision: number;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** RevokedToken is a token that is refused. */
export interface RevokedToken {
  /** its jti */
  tokenID: string;
  /** absent: for good */
  until?: string;
}

export interface WholeRevokedToken extends RevokedToken {
  until: string;
}

/** BlockReply answers block. */
export interface BlockReply {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID: string;
  /** everything */
  blocked: boolean;
  /** when the block ends; absent: it does not */
  until?: string;
  /** of the block */
  reason?: string;
  /** since when */
  blockedAt?: string;
  /** tokens that are refused */
  tokens?: RevokedToken[];
  /** tokens with an earlier iat, or none, are refused */
  issuedBefore?: string;
  expiresAt?: string;
  leaseSeconds?: number;
}

export interface WholeBlockReply extends BlockReply {
  until: string;
  tokens: WholeRevokedToken[];
}

/** Barred is what is refused to a user. */
export interface Barred {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID: string;
  /** everything */
  blocked: boolean;
  /** when the block ends; absent: it does not */
  until?: string;
  /** of the block */
  reason?: string;
  /** since when */
  blockedAt?: string;
  /** tokens that are refused */
  tokens?: RevokedToken[];
  /** tokens with an earlier iat, or none, are refused */
  issuedBefore?: string;
}

export interface WholeBarred extends Barred {
  until: string;
  tokens: WholeRevokedToken[];
}

/** BlockedReply answers blocked. */
export interface BlockedReply {
  userList: Barred[];
  nextFlag: string;
  expiresAt?: string;
  leaseSeconds?: number;
}

export interface WholeBlockedReply extends BlockedReply {
  userList: WholeBarred[];
}

/** CountReply answers count. */
export interface CountReply {
  memberCount: number;
  instanceID: string;
  sequence: number;
  revision: number;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** LeftRoom is the room that a switch left. */
export interface LeftRoom {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  instanceID: string;
  sequence: number;
}

/** Room describes a room as replies, facts and the state bucket show it. */
export interface Room {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  /** at most 64 bytes unless room-name is set otherwise, and never more than 1024 */
  roomName: string;
  instanceID: string;
  createdAt: string;
  /** an ID, or empty for nobody */
  createdBy: string;
  config: Config;
  /** at most 64, with keys of 1 to 64 bytes and values of at most 4096, unless set otherwise */
  attributes: Record<string, string>;
  memberCount: number;
  sequence: number;
  /** stream sequence; not yet known inside a fact */
  revision?: number;
  destroyAt?: string;
}

/** JoinedReply answers create, join, enter and switch. */
export interface JoinedReply {
  room: Room;
  /** enter and switch */
  created?: boolean;
  subscribe: string[];
  /** switch */
  left?: LeftRoom;
  instanceID: string;
  sequence: number;
  revision: number;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** DeleteMessagesReply answers deleteMessages. */
export interface DeleteMessagesReply {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  instanceID: string;
  /** that were deleted; those that are not kept any more are left out */
  messageSeqs: number[];
  /** with ofUserID: not empty: there may be more */
  nextFlag: string;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** DestroyReply answers destroy. */
export interface DestroyReply {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  instanceID: string;
  sequence: number;
  revision: number;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** EraseUserReply answers eraseUser. */
export interface EraseUserReply {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID: string;
  /** messages so far, over all pages */
  erased: number;
  /** not empty: there may be more */
  nextFlag: string;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** GetReply answers get. */
export interface GetReply {
  room: Room;
  /** where the caller hears the room */
  subscribe: string[];
  instanceID: string;
  sequence: number;
  revision: number;
  expiresAt?: string;
  leaseSeconds?: number;
  /** who owns which of the room's attributes, by key; one that nobody owns is left out */
  owners?: Record<string, string>;
  /** For back ends and hosts, as many as a reply has room for. */
  bans?: Restriction[];
  mutes?: Restriction[];
  /** there are more bans or mutes */
  more?: boolean;
}

/** HistoryReply answers history. */
export interface HistoryReply {
  instanceID: string;
  /** CloudEvents, oldest first */
  events: {
    specversion: string;
    id: string;
    source: string;
    type: string;
    [field: string]: unknown;
  }[];
  /** the position to ask for next, empty at the end */
  nextFlag: string;
  /** false: some are no longer kept, or the room is now another instance and nothing of this one is kept */
  complete: boolean;
  /** with facts: the sequence of the newest one */
  sequence?: number;
  /** with messages of a room that exists: the messageSeq of the newest one, 0 if there is none; a deletion counts */
  messageSeq?: number;
  /** with messages: the messageSeqs of those whose deletion comes in this part of the history */
  deleted?: number[];
  /** NextInstanceID is on the last page of an instance that has ended, read forward: the first
instance of the room after it of which the caller may read something. It may be the room
that exists. */
  nextInstanceID?: string;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** Instance is one of the rooms that there were under one ID, one after the other. */
export interface Instance {
  instanceID: string;
  /** at most 64 bytes unless room-name is set otherwise, and never more than 1024 */
  roomName: string;
  createdAt: string;
  endedAt?: string;
  /** why it ended */
  reason?: "empty" | "requested";
  /** of its newest fact */
  sequence: number;
}

/** InstancesReply answers instances. */
export interface InstancesReply {
  /** the newest first */
  instances: Instance[];
  nextFlag: string;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** ErrorUser is a user for whom a command that names several could do nothing. */
export interface ErrorUser {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID: string;
  code: "PARAM_INVALID" | "RATE_LIMITED" | "USER_ALREADY_IN_ROOM" | "USER_NOT_IN_ROOM" | "ROOM_NOT_EXIST" | "ROOM_ALREADY_EXISTS" | "ROOM_LIMIT" | "USER_ROOM_LIMIT" | "ROOM_ATTRIBUTE_COUNT" | "ROOM_ATTRIBUTE_KEY" | "ROOM_ATTRIBUTE_VALUE" | "ROOM_ATTRIBUTE_TOTAL" | "MEMBER_ATTRIBUTE_TOTAL" | "MEMBER_ATTRIBUTE_KEY" | "MEMBER_ATTRIBUTE_VALUE" | "NOT_ALLOWED" | "ROOM_FULL" | "REVISION_MISMATCH" | "MESSAGE_TOO_LONG" | "BUSY" | "UNAVAILABLE" | "BANNED" | "MUTED" | "BLOCKED";
  number: number;
}

/** KickReply answers kick. */
export interface KickReply {
  kicked: string[];
  errorUserList: ErrorUser[];
  instanceID: string;
  sequence: number;
  revision: number;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** LeftReply answers leave. */
export interface LeftReply {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  instanceID: string;
  sequence: number;
  revision: number;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** LeftAllReply answers leaveAll. */
export interface LeftAllReply {
  roomIDList: string[];
  /** not empty: the session is in more rooms; a new leaveAll goes on */
  nextFlag: string;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** ListReply answers list. */
export interface ListReply {
  roomList: Room[];
  nextFlag: string;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** MemberInfo is a member as replies and the state bucket show it. */
export interface MemberInfo {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID: string;
  /** at most 256 bytes unless user-name is set otherwise, and never more than 1024 */
  userName: string;
  userInfo?: Record<string, unknown>;
  /** host, or none */
  role?: "member" | "host";
  joinedAt: string;
  /** at most 30, with keys of 1 to 64 bytes and values of at most 1024, unless set otherwise */
  attributes: Record<string, string>;
  sessions: MemberSession[];
}

/** MemberSession is one device or connection of a member. */
export interface MemberSession {
  /** at most 64 bytes */
  sessionID: string;
  joinedAt: string;
  /** what it joined with; 0: it has no lease */
  leaseSeconds?: number;
}

/** MemberOfReply answers memberOf. */
export interface MemberOfReply {
  memberList: MemberInfo[];
  errorUserList: ErrorUser[];
  instanceID: string;
  sequence: number;
  revision: number;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** MembersReply answers members. */
export interface MembersReply {
  memberList: MemberInfo[];
  memberCount: number;
  nextFlag: string;
  /** with at; false: the room's first facts are no longer kept, so names, userInfo and attributes may be missing */
  complete?: boolean;
  instanceID: string;
  sequence: number;
  revision: number;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** Departure says how a session's stay in an instance of a room ended. */
export interface Departure {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  instanceID: string;
  /** of the fact that says so */
  sequence: number;
  reason: "left" | "switched" | "expired" | "replaced" | "kicked" | "destroyed";
  /** at most 256 bytes */
  reasonText?: string;
  leftAt: string;
  /** A ban put the session out: the error with which it would be refused, and when the ban ends,
if it does so before the room's instance. */
  code?: string;
  number?: number;
  until?: string;
}

/** RoomHead is one room of a user and how far it has got. */
export interface RoomHead {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  roomID: string;
  instanceID: string;
  sequence: number;
  messageSeq: number;
}

/** RenewReply answers renew: the rooms that the session is still in. */
export interface RenewReply {
  rooms: RoomHead[];
  nextFlag: string;
  /** of the rooms that the request names: those that the session left, as long as the facts are kept */
  left?: Departure[];
  /** of the rooms that the request names: those of which it could not be found out whether and how the session left them */
  unknown?: Stay[];
  expiresAt?: string;
  leaseSeconds?: number;
}

/** RoomsReply answers rooms. */
export interface RoomsReply {
  rooms: RoomHead[];
  nextFlag: string;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** SendReply answers send. */
export interface SendReply {
  /** empty if a repeated request's message is no longer kept */
  messageID: string;
  /** of messages that are stored */
  messageSeq?: number;
  /** milliseconds */
  timestamp: number;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** SetAccessReply answers setAccess. */
export interface SetAccessReply {
  /** as it is now */
  config: Config;
  instanceID: string;
  sequence: number;
  revision: number;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** SetAttributesReply answers setAttributes. */
export interface SetAttributesReply {
  /** all of the room's, as they are now; at most 64, with keys of 1 to 64 bytes and values of at most 4096, unless set otherwise */
  attributes: Record<string, string>;
  /** owned by somebody else, left unchanged */
  errorKeys: string[];
  instanceID: string;
  sequence: number;
  revision: number;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** SetMemberAttributesReply answers setMemberAttributes. */
export interface SetMemberAttributesReply {
  /** all attributes of each member, as they are now */
  infos: MemberAttributes[];
  errorUserList: ErrorUser[];
  instanceID: string;
  sequence: number;
  revision: number;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** SetRoleReply answers setRole. */
export interface SetRoleReply {
  /** who has the role now */
  userIDs: string[];
  errorUserList: ErrorUser[];
  instanceID: string;
  sequence: number;
  revision: number;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** UnblockReply answers unblock. */
export interface UnblockReply {
  /** an ID: 1 to 128 bytes of UTF-8 without control characters or noncharacters */
  userID: string;
  /** everything */
  blocked: boolean;
  /** when the block ends; absent: it does not */
  until?: string;
  /** of the block */
  reason?: string;
  /** since when */
  blockedAt?: string;
  /** tokens that are refused */
  tokens?: RevokedToken[];
  /** tokens with an earlier iat, or none, are refused */
  issuedBefore?: string;
  expiresAt?: string;
  leaseSeconds?: number;
}

export interface WholeUnblockReply extends UnblockReply {
  until: string;
  tokens: WholeRevokedToken[];
}

/** UpdateReply answers update. */
export interface UpdateReply {
  /** at most 64 bytes unless room-name is set otherwise, and never more than 1024 */
  roomName: string;
  /** as it is now */
  config: Config;
  instanceID: string;
  sequence: number;
  revision: number;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** UpdateMemberReply answers updateMember. */
export interface UpdateMemberReply {
  /** as it is now */
  member: MemberInfo;
  instanceID: string;
  sequence: number;
  revision: number;
  expiresAt?: string;
  leaseSeconds?: number;
}

/** By verb: the body of a command, and the reply to one that succeeded. */
export interface Commands {
  create: { body: CreateRequest; reply: JoinedReply };
  join: { body: RoomRequest; reply: JoinedReply };
  enter: { body: CreateRequest; reply: JoinedReply };
  switch: { body: SwitchRequest; reply: JoinedReply };
  leave: { body: RoomRequest; reply: LeftReply };
  leaveAll: { body: LeaveAllRequest; reply: LeftAllReply };
  get: { body: ReadRequest; reply: GetReply };
  members: { body: MembersRequest; reply: MembersReply };
  count: { body: ReadRequest; reply: CountReply };
  memberOf: { body: MemberOfRequest; reply: MemberOfReply };
  rooms: { body: RoomsRequest; reply: RoomsReply };
  list: { body: ListRequest; reply: ListReply };
  renew: { body: RenewRequest; reply: RenewReply };
  setAttributes: { body: SetAttributesRequest; reply: SetAttributesReply };
  setMemberAttributes: { body: SetMemberAttributesRequest; reply: SetMemberAttributesReply };
  send: { body: SendRequest; reply: SendReply };
  history: { body: HistoryRequest; reply: HistoryReply };
  deleteMessages: { body: DeleteMessagesRequest; reply: DeleteMessagesReply };
  eraseUser: { body: EraseUserRequest; reply: EraseUserReply };
  instances: { body: InstancesRequest; reply: InstancesReply };
  kick: { body: KickRequest; reply: KickReply };
  setAccess: { body: SetAccessRequest; reply: SetAccessReply };
  destroy: { body: DestroyRequest; reply: DestroyReply };
  update: { body: UpdateRequest; reply: UpdateReply };
  updateMember: { body: RoomRequest; reply: UpdateMemberReply };
  setRole: { body: SetRoleRequest; reply: SetRoleReply };
  ban: { body: RestrictRequest; reply: RestrictedReply };
  unban: { body: LiftRequest; reply: RestrictedReply };
  mute: { body: RestrictRequest; reply: RestrictedReply };
  unmute: { body: LiftRequest; reply: RestrictedReply };
  block: { body: BlockRequest; reply: BlockReply };
  unblock: { body: UnblockRequest; reply: UnblockReply };
  blocked: { body: BlockedRequest; reply: BlockedReply };
}

export type Verb = keyof Commands;

export type ErrorCode = ErrorInfo["code"];

/** Every fact; `type` tells which it is. */
export type Fact =
  | RoomCreated
  | MemberJoined
  | MemberLeft
  | SessionJoined
  | SessionLeft
  | RoomAttributesChanged
  | MemberAttributesChanged
  | RoomAccessChanged
  | RoomUpdated
  | MemberUpdated
  | RoomKept
  | RoomDestroyed;

/** Every fact as clients give it: what may be absent on the way is filled in. */
export type WholeFact =
  | WholeRoomCreated
  | WholeMemberJoined
  | WholeMemberLeft
  | WholeSessionJoined
  | WholeSessionLeft
  | WholeRoomAttributesChanged
  | WholeMemberAttributesChanged
  | WholeRoomAccessChanged
  | WholeRoomUpdated
  | WholeMemberUpdated
  | WholeRoomKept
  | WholeRoomDestroyed;
