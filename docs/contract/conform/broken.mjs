// Shows that the checks notice a service that does not keep its promises. Each fault below is
// one: a cable to a roomd that changes what goes through it. The checks must fail by it, and
// must not fail by a cable that changes nothing.

import { createConnection, createServer } from "node:net";
import { once } from "node:events";
import { conform } from "./lib/run.mjs";
import { end, roomd, withSmallLimits, withTokens } from "./roomd.mjs";

/** Reads what goes one way, and writes what is to go on. take gets a message, and gives a list. */
function pipe(from, to, take) {
  let rest = Buffer.alloc(0);
  from.on("error", () => {}).on("close", () => to.destroy());
  from.on("data", (data) => {
    rest = Buffer.concat([rest, data]);
    for (let line; (line = rest.indexOf("\r\n")) >= 0; ) {
      const [op, ...args] = rest.subarray(0, line).toString().split(" ");
      let length = line + 2;
      if (!/^H?(PUB|MSG)$/.test(op)) {
        to.write(rest.subarray(0, length));
      } else {
        length += Number(args.at(-1)) + 2;
        if (rest.length < length) return;
        for (const m of take(message(op, args, rest.subarray(line + 2, length - 2).toString()))) to.write(bytes(m));
      }
      rest = rest.subarray(length);
    }
  });
}

/** A message: its subject, sid if there is one, reply, headers as a list of pairs, and body as text. */
function message(op, args, text) {
  const sizes = op[0] === "H" ? 2 : 1;
  const ofHeaders = sizes === 2 ? Number(args.at(-2)) : 0; // in bytes, which headers have as many of as characters
  const names = args.slice(0, -sizes);
  const sid = op.endsWith("MSG") ? names.splice(1, 1)[0] : undefined;
  const [status, ...lines] = text.slice(0, ofHeaders).trimEnd().split("\r\n");
  return { subject: names[0], sid, reply: names[1], status, headers: lines.map((l) => l.split(/: ?(.*)/s).slice(0, 2)), body: text.slice(ofHeaders) };
}

function bytes({ subject, sid, reply, status, headers, body }) {
  const head = status ? `${[status, ...headers.map((h) => h.join(": "))].join("\r\n")}\r\n\r\n` : "";
  const op = `${status ? "H" : ""}${sid ? "MSG" : "PUB"}`;
  const sizes = [head && head.length, Buffer.byteLength(head + body)].filter((n) => n !== "");
  return `${[op, subject, sid, reply, ...sizes].filter((x) => x !== undefined).join(" ")}\r\n${head}${body}\r\n`;
}

/** The value that a body is, changed in place. */
function edit(m, change) {
  let value;
  try {
    value = JSON.parse(m.body);
  } catch {
    return [m]; // one that is wrong on purpose
  }
  const instead = change(value, m);
  m.body = JSON.stringify(value);
  return instead ?? [m];
}

/** Listens on a port and connects it with a server by a cable with a fault. */
async function cable(server, fault) {
  const { hostname, port } = new URL(server);
  const listener = createServer((near) => {
    const far = createConnection(Number(port), hostname);
    const asked = new Map(); // commands, by where their answers go
    const state = {};
    pipe(near, far, (m) => {
      const verb = /^room\.cmd\.([^.]+)/.exec(m.subject)?.[1];
      if (verb && m.reply) asked.set(m.reply, { verb, ...m });
      return verb && fault.command ? edit(m, (body) => fault.command(body, verb, m)) : [m];
    });
    pipe(far, near, (m) => {
      const command = asked.get(m.subject);
      asked.delete(m.subject);
      if (command) return fault.answer ? edit(m, (body) => fault.answer(body, command.verb, m, state)) : [m];
      return /^room\.(evt|msg|state|feed)\./.test(m.subject) && fault.event ? edit(m, (e) => fault.event(e, e.type.replace(/^io\.natsrooms\.|\.v1$/g, ""), m, state)) : [m];
    });
  });
  await once(listener.listen(0, "127.0.0.1"), "listening");
  return { url: `nats://127.0.0.1:${listener.address().port}`, close: () => listener.close() };
}

const nothing = [];
const header = (m, name, change) => (m.headers = m.headers.flatMap(([k, v]) => (k === name ? change(v) : [[k, v]])));
const refused = (change) => ({ answer: (body, verb, m) => void (body.error && change(body.error, m)) });
const leaves = (field) => ({ event: (e) => void e.data.memberList?.forEach((m) => delete m[field]) });
const later = (ms) => (time) => new Date(Date.parse(time) + ms).toISOString();

/** Drops, or repeats, the n-th fact of each room. */
function nth(n, instead) {
  const counts = {};
  return { event: (e, type, m) => (m.subject.startsWith("room.evt.") && (counts[m.subject] = (counts[m.subject] ?? 0) + 1) === n ? instead(m) : undefined) };
}

/** The answers to a send and to a leave of one user that are on their way together change places. */
function overtaken() {
  const pairs = new Map(); // by user
  return {
    command: ({ userID }, verb, m) => {
      if (verb === "send") pairs.set(userID, { send: m.reply });
      if (verb === "leave" && pairs.has(userID)) pairs.get(userID).leave = m.reply;
    },
    answer: (body, verb, m) => {
      for (const [userID, pair] of pairs) {
        if (m.subject === pair.send && pair.leave) return (pair.held = m), nothing;
        if (m.subject !== pair.send && m.subject !== pair.leave) continue;
        pairs.delete(userID);
        return pair.held ? [m, pair.held] : undefined;
      }
    },
  };
}

/** The faults, by what is broken: the groups that must notice, and what happens on the cable. */
const faults = {
  "a refusal has another code": ["refusals", refused((e, m) => e.code === "USER_ALREADY_IN_ROOM" && (Object.assign(e, { code: "USER_NOT_IN_ROOM", number: 6000321 }), header(m, "Nats-Service-Error", () => [["Nats-Service-Error", "USER_NOT_IN_ROOM"]]), header(m, "Nats-Service-Error-Code", () => [["Nats-Service-Error-Code", "6000321"]])))],
  "a refusal has another number in its header": ["refusals", refused((e, m) => header(m, "Nats-Service-Error-Code", () => [["Nats-Service-Error-Code", "500"]]))],
  "a refusal does not name the field": ["refusals", refused((e) => delete e.field)],
  "a refusal does not say that nothing happened": ["refusals", refused((e) => (e.outcome = "unknown"))],
  "a limit is said to be one more than it is": ["limits", refused((e) => e.limit && e.limit++)],
  "unknown fields are not named": ["refusals", { answer: (body, verb, m) => void header(m, "Room-Ignored-Fields", () => []) }],
  "a verb is missing": ["verbs", { command: (body, verb, m) => void (verb === "count" && (m.subject = "room.cmd.number")) }],
  "a fact is lost": ["order", nth(3, () => nothing)],
  "a fact is heard twice": ["order", nth(2, (m) => [m, m])],
  "two facts change places": ["order", { event: (e, type, m, state) => (m.subject.startsWith("room.evt.") && e.data.sequence === 2 ? ((state[m.subject] = m), nothing) : e.data.sequence === 3 && state[m.subject] ? [m, state[m.subject]] : undefined) }],
  "the time of a fact is before the one before it": ["events", { event: (e) => void (e.data.sequence === 2 && (e.time = later(-3_600_000)(e.time))) }],
  "the extension sequence has no leading zeros": ["events", { event: (e) => void (e.sequence &&= String(Number(e.sequence))) }],
  "a fact lacks what its schema requires": ["events", { event: (e, type) => void (type === "member.left" && delete e.data.memberCount) }],
  "an entry lacks its requestID": ["events", { event: (e) => void e.data.memberList?.forEach((m) => delete m.requestID) }],
  "an entry lacks its sessionID": ["events", leaves("sessionID")],
  "a fact lacks its sequence": ["events", { event: (e) => void delete e.data.sequence }],
  "a name is left out that is not empty": ["events", leaves("userName")],
  "a way in is left out that is not enter": ["events", leaves("via")],
  "a reason is left out that is not left": ["events", leaves("reason")],
  "a time is left out that is not the event's": ["events", leaves("joinedAt")],
  "owners are left out though not all are the user's": ["events", { event: (e) => void delete e.data.owners }],
  "attributes that stay are said to go": ["events", { event: (e) => void delete e.data.deleteAfterOwnerLeft }],
  "a room's beginning is left out of its end": ["events", { event: (e, type) => void (type === "room.destroyed" && delete e.data.room.createdAt) }],
  "a list of users is left out": ["events", { event: (e) => void delete e.data.allowedUsers }],
  "events are not marked as CloudEvents": ["events", { event: (e, type, m) => void header(m, "Content-Type", () => [["Content-Type", "application/json"]]) }],
  "a member is missing in a fact": ["order", { event: (e, type) => void (type === "member.joined" && e.data.memberList.length > 1 && e.data.memberList.pop()) }],
  "a reply has another position than its fact": ["verbs", { answer: (body, verb) => void (verb === "join" && body.sequence++) }],
  "messages do not name the one before them": ["order", { event: (e, type, m) => void (type === "message.sent" && header(m, "Nats-Last-Sequence", () => [["Nats-Last-Sequence", "0"]])) }],
  "a message is lost": ["order", { event: (e, type) => (type === "message.sent" && e.data.data === "3 7" ? nothing : undefined) }],
  "history gives messages in another order": ["paging", { answer: (body, verb) => void (verb === "history" && body.events?.reverse()) }],
  "a page leaves somebody out": ["paging", { answer: (body, verb) => void (verb === "members" && body.memberList?.length > 1 && body.memberList.pop()) }],
  "pages do not end": ["paging", { answer: (body, verb) => void (verb === "members" && body.memberList && (body.nextFlag ||= "1")) }],
  "a notice is missing": ["notices", { event: (e, type) => (type === "user.state.changed" && e.data.state === "connecting" ? nothing : undefined) }],
  "notices come after the answer": ["notices", {
    event: (e, type, m, state) => (type === "user.state.changed" ? ((state.held ??= []).push(m), nothing) : undefined),
    answer: (body, verb, m, state) => (state.held?.length ? [m, ...state.held.splice(0)] : undefined),
  }],
  "a notice has the wrong number": ["notices", { event: (e, type) => void (type === "user.state.changed" && e.data.eventCode++) }],
  "a repeat has a second effect": ["repeats", { command: (body, verb, m) => void (delete body.requestID, header(m, "Nats-Msg-Id", () => [])) }],
  "another body under a requestID gets the first outcome": ["repeats", refused((e, m) => e.field === "requestID" && (e.field = "userID"))],
  "everybody may change everybody's attributes": ["attributes", { command: (body, verb) => void (verb === "setAttributes" && (body.isForce = true)) }],
  "attributes stay when their owner leaves": ["attributes", { command: (body) => void delete body.isDeleteAfterOwnerLeft }],
  "ifRevision is ignored": ["order", { command: (body) => void delete body.ifRevision }],
  "a switch makes rooms without being told to": ["switch", { command: (body, verb) => void (verb === "switch" && (body.isCreateWhenRoomNotExisted = true)) }],
  "a switch does not say what it left": ["switch", { answer: (body, verb) => void (verb === "switch" && delete body.left) }],
  "an empty room ends at once, whatever its delay": ["ending", { command: (body) => void (body.config && delete body.config.roomDestroyDelayTime) }],
  "a lease ends before it should": ["leases", { answer: (body) => void (body.expiresAt && (body.expiresAt = later(2000)(body.expiresAt))) }],
  "a renewal does not renew": ["leases", { command: (body, verb) => void (["renew", "get"].includes(verb) && (body.sessionID = "other")) }],
  "a connection speaks for another user": ["users", { command: (body, verb, m) => void (m.subject.split(".").length === 4 && delete body.userID) }],
  "who is banned comes in": ["hosts", { command: (body, verb) => void (verb === "ban" && (body.userIDs = ["nobody"])) }],
  "a role is not told": ["verbs", { event: (e, type) => void (type === "member.updated" && e.data.infos.forEach((m) => delete m.role)) }],
  "who leaves does not hear it": ["feeds", { event: (e, type, m) => (m.subject.startsWith("room.feed.") && type === "member.left" ? nothing : undefined) }],
  "a feed is in another order": ["feeds", { event: (e, type, m) => (m.subject.startsWith("room.feed.") && e.data.sequence === 3 ? nothing : undefined) }],
  "a message names a later fact": ["said", { event: (e, type, m) => void (m.subject.startsWith("room.feed.") && type === "message.sent" && e.data.afterSequence++) }],
  "last words are lost": ["said", { event: (e, type, m) => (m.subject.startsWith("room.feed.") && type === "message.sent" && e.data.data.endsWith(" 7") ? nothing : undefined) }],
  "a copy does not say for which sessions it is": ["said", { event: (e, type, m) => void header(m, "Room-Sessions", () => []) }],
  "an answer overtakes the one before it": ["pipelined", overtaken()],
  "a kick is said to be one fact earlier": ["newest", { answer: (body, verb) => void (verb === "kick" && body.sequence--) }],
  "a session's connection is forgotten": ["connections", { command: (body) => void delete body.connection }],
  "a fact is heard otherwise than it is stored": ["stored", { event: (e, type, m) => void (m.subject.startsWith("room.evt.") && (e.id += "x")) }],
  "who sends too much is not told when to go on": ["small", refused((e) => e.code === "RATE_LIMITED" && delete e.retryAfterMs)],
  "who may read is not checked": ["feeds", { answer: (body, verb, m) => void (body.error?.code === "NOT_ALLOWED" && (delete body.error, (m.headers = []), Object.assign(body, { memberCount: 0, instanceID: "x", sequence: 1, revision: 1 }))) }],
};

const needTokens = ["users", "hosts", "feeds", "said"];

async function main() {
  const [trusting, tokens] = await Promise.all([roomd("trusting", "--grace", "1s"), withTokens()]);
  const groups = [...new Set(Object.values(faults).map(([group]) => group))];
  const tries = [...groups.map((group) => [`(nothing, ${group})`, group, {}]), ...Object.entries(faults).map(([name, [group, fault]]) => [name, group, fault])];
  let wrong = 0;
  const work = async () => {
    for (let next; (next = tries.shift()); ) {
      const [name, group, fault] = next;
      const to = needTokens.includes(group) ? tokens : { server: trusting, grace: 1, one: true };
      if (group === "small") Object.assign(to, { server: await withSmallLimits(name), small: true }); // one of its own, since all its rooms count
      const { url, close } = await cable(to.server, fault);
      const { failed, passed, left } = await conform({ ...to, server: url, only: [group], patience: 4_000, longest: 300_000 }, () => {}).catch((error) => ({ passed: [], failed: [{ group, name: "all", error }], left: [] }));
      close();
      const right = left.length === 0 && (Object.keys(fault).length === 0 ? failed.length === 0 : failed.length > 0);
      if (!right) wrong++;
      console.log(`${right ? "ok   " : "FAIL "} ${name}: ${failed.length} of ${failed.length + passed.length} checks failed${failed[0] ? `, such as "${failed[0].name}": ${failed[0].error.message.slice(0, 200)}` : ""}`);
    }
  };
  await Promise.all(Array.from({ length: 6 }, work));
  console.log(wrong ? `${wrong} were not as they must be` : "each fault was noticed");
  return wrong ? 1 : 0;
}

try {
  process.exitCode = await main();
} finally {
  await end();
}
