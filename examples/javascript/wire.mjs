// What goes over the wire: subjects, commands, types of events.

import { nuid, TimeoutError } from "@nats-io/nats-core";

/** The type of an event, as in type("member.joined"). */
export const type = (name) => `io.natsrooms.${name}.v1`;

/** The ID of a room or user as one token of a subject or key; throws if it is no UTF-8. */
export function token(id) {
  const escape = (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(id).replace(/[.!~*'()]/g, escape).replaceAll("%", "=");
}

/** A command was refused. With the outcome "unknown" it may have had its effect all the same. */
export class Refused extends Error {
  constructor(error) {
    super(error.message);
    Object.assign(this, error); // code, number, outcome and, where they help, field, limit, actual
  }
}

/**
 * Sends a command of a user, or of a back end if userID is "", and gives the reply. When
 * no answer comes it is sent again with the same requestID, so that it happens once.
 */
export async function ask(nc, userID, verb, body) {
  const subject = `room.cmd.${verb}${userID && `.${token(userID)}`}`;
  const request = JSON.stringify({ requestID: nuid.next(), ...body });
  for (let tries = 1; ; tries++) {
    try {
      const reply = await nc.request(subject, request, { timeout: 15_000 });
      if (!reply.headers?.has("Nats-Service-Error")) return reply.json();
      const { error, ...now } = reply.json(); // now: of REVISION_MISMATCH, the attributes and where the room is
      throw new Refused({ ...error, ...now });
    } catch (err) {
      if (tries === 3 || !(err instanceof TimeoutError || err.outcome === "unknown")) throw err;
    }
  }
}
