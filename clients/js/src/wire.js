// What goes over the wire: subjects, types of events, IDs.

export const prefix = "io.natsrooms.";

/** The type of an event, as in type("member.joined"). */
export const type = (name) => `${prefix}${name}.v1`;

/** The ID of a room, user or session as one token of a subject, key or header; throws if it is not valid Unicode. */
export function token(id) {
  const escape = (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(id).replace(/[.!~*'()]/g, escape).replaceAll("%", "=");
}

/**
 * Options for connect of a NATS package: a server's URL, whose user and password that
 * package does not read, and what suits somebody who stays in rooms.
 */
export function connectOptions(url, { userID } = {}) {
  const options = {
    servers: url,
    maxReconnectAttempts: -1,
    pingInterval: 10_000, // so that a dead connection is noticed before a lease ends
    ...(userID && { inboxPrefix: `_INBOX_${token(userID)}` }),
  };
  if (!url.includes("@")) return options;
  const { protocol, host, username, password } = new URL(url.includes("://") ? url : `nats://${url}`);
  return { ...options, servers: `${protocol}//${host}`, user: decodeURIComponent(username), pass: decodeURIComponent(password) };
}

export const subjects = {
  command: (verb, userID) => `room.cmd.${verb}${userID && `.${token(userID)}`}`,
  states: (userID) => `room.state.${token(userID)}.*`,
  facts: (roomID) => `room.evt.${token(roomID)}`,
  messages: (roomID) => `room.msg.${token(roomID)}`,
  feed: (userID, roomID) => `room.feed.${token(userID)}.${token(roomID)}`,
  open: (roomID) => `room.open.${token(roomID)}`,
  areFacts: (subject) => subject.startsWith("room.evt."),
  areMessages: (subject) => subject.startsWith("room.msg."),
};

/** A number in a header of a live copy; 0 if the header is missing. */
export const number = (message, header) => Number(message.headers?.get(header)) || 0;
