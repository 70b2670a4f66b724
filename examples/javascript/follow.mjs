// How a member follows a room without missing anything; README.md explains it.

import { type } from "./wire.mjs";

async function snapshot(command) {
  const { room, instanceID, sequence, revision } = await command("get", { sync: true });
  const memberList = [];
  for (let nextFlag; nextFlag !== ""; ) {
    const page = await command("members", { nextFlag, minRevision: revision });
    if (page.instanceID !== instanceID) return snapshot(command);
    memberList.push(...page.memberList);
    nextFlag = page.nextFlag;
  }
  return { room, memberList, instanceID, sequence };
}

async function renew(command, roomID, nextFlag) {
  const page = await command("renew", { roomID: undefined, nextFlag });
  const head = page.rooms.find((r) => r.roomID === roomID);
  return head ?? (page.nextFlag ? renew(command, roomID, page.nextFlag) : undefined);
}

/** command(verb, body) acts for a session in the room; messageSeq is that of the newest message it knows. */
export function follow(command, roomID, { messageSeq, renewEvery, whole, heard, lost, failed }) {
  const facts = { after: "afterSequence", key: "sequence" };
  const messages = { after: "afterMessageSeq", key: "messageSeq", last: messageSeq };
  const met = new Set(); // instances of the room
  let instanceID, timer, work, open = true;
  const next = (step) => (work = work.then(() => open && step()).catch((err) => { failed(err); checkIn(1000); }));
  const checkIn = (ms) => { clearTimeout(timer); if (open) timer = setTimeout(check, ms); };
  const start = (ready) => (work = ready.then(load)).then(() => checkIn(renewEvery)); // what is heard meanwhile waits
  const stop = () => { open = false; clearTimeout(timer); };
  return { start, hear: (event, headers) => next(() => arrived(event, headers)), check, stop };

  async function load() {
    const now = await snapshot(command);
    met.add((instanceID = now.instanceID));
    facts.last = now.sequence;
    whole(now);
    await heal(messages);
  }

  async function heal(line) {
    for (let from = line.last; open && from !== ""; ) {
      const page = await command("history", { instanceID, [line.after]: Number(from), sync: true });
      if (page.instanceID !== instanceID || (line === facts && !page.complete)) return load();
      page.events.forEach((event) => take(line, event));
      from = page.nextFlag;
    }
  }

  function take(line, event) {
    if (!open || event.data.instanceID !== instanceID || event.data[line.key] <= line.last) return;
    line.last = event.data[line.key];
    heard(event);
  }

  async function arrived(event, headers) {
    const stored = Number(headers?.get("Nats-Sequence"));
    const { type: what, data } = event;
    if (!stored) return heard(event); // live only
    if (data.instanceID !== instanceID) return met.has(data.instanceID) || load(met.add(data.instanceID));
    const line = what === type("message.sent") ? messages : facts;
    if (line === messages) data.messageSeq = stored;
    const before = line === facts ? data.sequence - 1 : Number(headers.get("Nats-Last-Sequence"));
    if (before > line.last) await heal(line);
    take(line, event);
  }

  function check() {
    checkIn(renewEvery);
    return next(async () => {
      const head = await renew(command, roomID);
      if (!head) return lost();
      if (head.instanceID !== instanceID || head.sequence > facts.last) await heal(facts);
      if (head.messageSeq > messages.last) await heal(messages);
    });
  }
}
