// What goes over the wire: subjects, commands, types of events.

import { nuid, TimeoutError } from "@nats-io/nats-core";

/** The type of an event, as in type("member.joined"). */
export const type = (name) => `io.natsrooms.${name}.v1`;

/** The ID of a room or user as one token of a subject or key; throws if it is not valid Unicode. */
export function token(id) {
  const escape = (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(id).replace(/[.!~*'()]/g, escape).replaceAll("%", "=");
}

/** A command was refused. With the outcome "unknown" it may have taken effect anyway. */
export class Refused extends Error {
  constructor(error) {
    super(error.message);
    Object.assign(this, error); // code, number, outcome and, if they help, field, limit, actual
  }
}

/** connect's options for a server's URL: nats.js does not read the user and password in it. */
export function server(url) {
  if (!url.includes("@")) return { servers: url };
  const { protocol, host, username, password } = new URL(url.includes("://") ? url : `nats://${url}`);
  return { servers: `${protocol}//${host}`, user: decodeURIComponent(username), pass: decodeURIComponent(password) };
}

const again = new WeakMap(); // by connection: the callbacks

/** Calls act whenever nc has reconnected, until the returned function is called. */
export function onReconnect(nc, act) {
  if (!again.has(nc)) {
    again.set(nc, new Set());
    watch(nc, again.get(nc));
  }
  again.get(nc).add(act);
  return () => again.get(nc).delete(act);
}

async function watch(nc, acts) {
  for await (const status of nc.status()) if (status.type === "reconnect") [...acts].forEach((act) => act());
}

/** A request that is given up early if the connection broke, since then no answer can arrive. */
function request(nc, subject, body) {
  return new Promise((resolve, reject) => {
    const forget = onReconnect(nc, () => reject(new TimeoutError()));
    nc.request(subject, body, { timeout: 15_000 }).then(resolve, reject).finally(forget);
  });
}

/**
 * Sends a user's command, or a back end's if userID is "", and returns the reply. If no
 * answer arrives, it is sent again with the same requestID, so that it happens only once.
 */
export async function ask(nc, userID, verb, body) {
  const subject = `room.cmd.${verb}${userID && `.${token(userID)}`}`;
  const command = JSON.stringify({ requestID: nuid.next(), ...body });
  for (let tries = 1; ; tries++) {
    try {
      const reply = await request(nc, subject, command);
      if (!reply.headers?.has("Nats-Service-Error")) return reply.json();
      const { error, ...now } = reply.json(); // now: with REVISION_MISMATCH, the attributes and the room's position
      throw new Refused({ ...error, ...now });
    } catch (err) {
      if (tries === 3 || !(err instanceof TimeoutError || err.outcome === "unknown")) throw err;
    }
  }
}
