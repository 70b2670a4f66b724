// A room as one of its members sees it, kept up to date from its events. It works on any
// NATS connection, of node or of a browser.

import { CloudEvent } from "cloudevents";
import { ask, token, type } from "./wire.mjs";

/** Changes members, a Map by userID of what the command `members` answers, as a fact says. */
export function fold(members, { type: what, data }) {
  for (const { userID, userName, userInfo, joinedAt, sessionID, attributes = {} } of data.memberList ?? []) {
    const member = members.get(userID);
    const others = member?.sessions.filter((s) => s.sessionID !== sessionID);
    const session = { sessionID, joinedAt };
    if (what === type("room.created") || what === type("member.joined")) {
      members.set(userID, { userID, userName, ...(userInfo && { userInfo }), joinedAt, attributes, sessions: [session] });
    }
    if (what === type("member.left")) members.delete(userID);
    if (what === type("session.joined") && member) member.sessions = [...others, session];
    if (what === type("session.left") && member) member.sessions = others;
  }
  for (const { userID, attributes } of data.infos ?? []) Object.assign(members.get(userID)?.attributes ?? {}, attributes);
}

/** Changes the room's attributes, a Map, as a fact says. */
export function change(attributes, { data }) {
  for (const [key, value] of Object.entries(data.set ?? {})) attributes.set(key, value);
  for (const key of [...(data.delete ?? []), ...(data.deletedAttributes ?? [])]) attributes.delete(key);
}

/** Reads the members page by page. What they are folded on with starts behind the lowest sequence of the pages. */
async function read(command) {
  const pages = [];
  let page;
  do {
    page = await command("members", { nextFlag: page?.nextFlag, sync: !page, minRevision: pages[0]?.revision });
    pages.push(page);
    if (page.instanceID !== pages[0].instanceID) return read(command);
  } while (page.nextFlag);
  const members = new Map(pages.flatMap((p) => p.memberList).map((m) => [m.userID, m]));
  return { members, instanceID: page.instanceID, revision: pages[0].revision, sequence: Math.min(...pages.map((p) => p.sequence)) };
}

/** How far a room of the user has got; undefined if the user is not in it. */
async function head(command, roomID, more) {
  const page = await command("rooms", { roomID: undefined, ...more });
  const found = page.rooms.find((r) => r.roomID === roomID);
  return found ?? (page.nextFlag ? head(command, roomID, { ...more, nextFlag: page.nextFlag }) : undefined);
}

/**
 * Brings a session into a room by the verb enter, join or create, and follows the room
 * until the session is out. me is {userID, userName?, sessionID}; each device or tab has
 * a sessionID of its own.
 *
 * heard(room, event) gets every fact and message, once and in order, when room.members
 * has it already; before them the newest messages of the past; and the notices to this
 * user's sessions. Without an event it says that the members were read anew, or that the
 * room is no longer open.
 * failed(err) gets what went wrong in the background; the next check makes up for it.
 */
export async function enter(nc, roomID, me, { verb = "enter", heard, failed }) {
  const command = (verb, body) => ask(nc, me.userID, verb, { roomID, sessionID: me.sessionID, ...body });
  const next = (step) => (work = work.catch(() => {}).then(() => room.open && step())); // one after the other
  const later = (step) => next(step).catch((err) => room.open && failed(err));
  const room = { members: new Map(), attributes: new Map(), open: true, command, check, close };
  const facts = { after: "afterSequence", number: (event) => event.data.sequence };
  const messages = { after: "afterMessageSeq", number: (event) => event.data.messageSeq };
  const subscriptions = [];
  const timer = setInterval(check, 20_000);
  let work = Promise.resolve();
  afterReconnects().catch(failed);

  await next(async () => { // what is heard meanwhile waits
    listen(`room.state.${token(me.userID)}.${token(roomID)}`);
    const { subscribe } = await command(verb, { userName: me.userName });
    subscribe.forEach(listen);
    await nc.flush();
    await load();
    const newest = { beforeMessageSeq: Number.MAX_SAFE_INTEGER, count: 20 };
    const said = await command("history", { instanceID: room.instanceID, ...newest });
    messages.last = said.messageSeq;
    said.events.forEach((event) => tell(new CloudEvent(event)));
  }).catch((err) => { close(); throw err; });
  return room;

  function listen(subject) {
    const callback = (err, msg) => (err ? failed(err) : later(() => arrived(new CloudEvent(msg.json()), msg.headers)));
    subscriptions.push(nc.subscribe(subject, { callback }));
  }

  async function load() {
    const { members, sequence, instanceID, revision } = await read(command);
    const { room: now } = await command("get", { minRevision: revision });
    facts.last = sequence;
    Object.assign(room, { members, instanceID, revision, attributes: new Map(Object.entries(now.attributes)) });
    tell();
  }

  async function arrived(event, headers) {
    const seq = Number(headers?.get("Nats-Sequence"));
    const { instanceID, sequence } = event.data;
    if (!seq) return tell(event); // not stored
    if (event.type === type("message.sent")) return take(messages, event, seq, Number(headers.get("Nats-Last-Sequence")));
    if (instanceID === room.instanceID) return take(facts, event, sequence, sequence - 1, seq);
    if (seq > room.revision) return load(); // the room ended and began anew, unheard
  }

  async function take(line, event, number, before, minRevision) {
    if (number > line.last && before > line.last) await heal(line, minRevision);
    if (number <= line.last) return;
    line.last = number;
    if (line === facts) {
      fold(room.members, event);
      change(room.attributes, event);
    }
    tell(event);
  }

  async function heal(line, minRevision) {
    for (let from = line.last; from !== ""; ) {
      const page = await command("history", { instanceID: room.instanceID, [line.after]: Number(from), minRevision });
      if (line === facts && !page.complete) return load(); // messages no longer kept are lost
      for (const event of page.events) await take(line, new CloudEvent(event), line.number(event), 0);
      from = page.nextFlag;
    }
  }

  // Finds that the newest fact or message did not come, or that the room is lost.
  function check(sync) {
    return later(async () => {
      const now = await head(command, roomID, { minRevision: room.revision, sync });
      if (!now) return close();
      if (now.instanceID !== room.instanceID || now.sequence > facts.last) await heal(facts);
      if (now.messageSeq > messages.last) await heal(messages);
    });
  }

  async function afterReconnects() {
    for await (const status of nc.status()) if (status.type === "reconnect") check(true);
  }

  function tell(event) {
    const sessions = room.members.get(me.userID)?.sessions ?? [];
    if (sessions.some((s) => s.sessionID === me.sessionID)) heard(room, event);
    else close(event);
  }

  function close(event) {
    if (!room.open) return;
    room.open = false;
    clearInterval(timer);
    subscriptions.forEach((s) => s.unsubscribe());
    if (room.instanceID) heard(room, event);
  }
}
