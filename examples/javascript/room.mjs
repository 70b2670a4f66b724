// A room as one of its members sees it, kept up to date from its events. It works with any
// NATS connection, in node or in a browser.

import { CloudEvent } from "cloudevents";
import { follow } from "./follow.mjs";
import { ask, onReconnect, token, type } from "./wire.mjs";

/** Applies a fact to members, a Map by userID of what the command `members` returns. */
export function fold(members, { type: what, data }) {
  for (const { userID, userName, userInfo, joinedAt, sessionID, leaseSeconds, attributes = {} } of data.memberList ?? []) {
    const member = members.get(userID);
    const others = member?.sessions.filter((s) => s.sessionID !== sessionID);
    const session = { sessionID, joinedAt, ...(leaseSeconds && { leaseSeconds }) };
    if (what === type("room.created") || what === type("member.joined")) {
      members.set(userID, { userID, userName, ...(userInfo && { userInfo }), joinedAt, attributes, sessions: [session] });
    }
    if (what === type("member.left")) members.delete(userID);
    if (what === type("session.joined") && member) member.sessions = [...others, session];
    if (what === type("session.left") && member) member.sessions = others;
  }
  for (const { userID, attributes } of data.infos ?? []) Object.assign(members.get(userID)?.attributes ?? {}, attributes);
}

/** Applies a fact to the room's attributes, a Map. */
export function change(attributes, { data }) {
  for (const [key, value] of Object.entries(data.set ?? {})) attributes.set(key, value);
  for (const key of [...(data.delete ?? []), ...(data.deletedAttributes ?? [])]) attributes.delete(key);
}

/**
 * Makes a session join a room with the verb enter, join or create, and follows the room
 * until the session is no longer in it. me is {userID, userName?, sessionID}; each device
 * or tab has a sessionID of its own. The session has a lease of leaseSeconds, which is
 * renewed as long as the room is open.
 *
 * heard(room, event) gets every fact and message, once and in order, after room.members
 * has been updated; before them the newest past messages; and the notices to this user's
 * sessions. Without an event it means that the members were read again, or that the room
 * is no longer open.
 * failed(err) gets what went wrong in the background; a later check makes up for it.
 */
export async function enter(nc, roomID, me, { verb = "enter", leaseSeconds = 60, heard, failed }) {
  const room = { members: new Map(), attributes: new Map(), open: true, command, check, close };
  const subscriptions = [];
  const forget = onReconnect(nc, check);
  let following;
  const inside = come();
  await inside.catch((err) => { close(); throw err; });
  return room;

  function command(verb, body) {
    const connection = nc.info && { serverID: nc.info.server_id, clientID: nc.info.client_id };
    return ask(nc, me.userID, verb, { roomID, sessionID: me.sessionID, connection, ...body });
  }

  async function come() {
    listen(`room.state.${token(me.userID)}.${token(roomID)}`, notice);
    const { subscribe, instanceID, revision } = await command(verb, { userName: me.userName, leaseSeconds });
    const past = await command("history", { instanceID, beforeMessageSeq: 0, count: 20, minRevision: revision });
    following = follow(command, roomID, {
      messageSeq: past.messageSeq,
      renewEvery: (leaseSeconds * 1000) / 3,
      whole(now) {
        Object.assign(room, {
          instanceID: now.instanceID,
          members: new Map(now.memberList.map((m) => [m.userID, m])),
          attributes: new Map(Object.entries(now.room.attributes)),
        });
        tell();
        past.events.splice(0).forEach(tell); // only the first time
      },
      heard(event) {
        fold(room.members, event);
        change(room.attributes, event);
        tell(event);
      },
      lost: close,
      failed: (err) => room.open && failed(err),
    });
    subscribe.forEach((subject) => listen(subject, following.hear));
    await following.start(nc.flush());
  }

  async function notice(event) {
    await inside.catch(() => {});
    if (room.open) heard(room, new CloudEvent(event));
  }

  function listen(subject, take) {
    const callback = (err, msg) => (err ? failed(err) : take(msg.json(), msg.headers));
    subscriptions.push(nc.subscribe(subject, { callback }));
  }

  function check() {
    return room.open && following?.check();
  }

  function tell(event) {
    const sessions = room.members.get(me.userID)?.sessions ?? [];
    if (!sessions.some((s) => s.sessionID === me.sessionID)) close(event);
    else if (room.open) heard(room, event && new CloudEvent(event));
  }

  function close(event) {
    if (!room.open) return;
    room.open = false;
    following?.stop();
    forget();
    subscriptions.forEach((s) => s.unsubscribe());
    if (room.instanceID) heard(room, event && new CloudEvent(event));
  }
}
