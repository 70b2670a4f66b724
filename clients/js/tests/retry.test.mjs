// Commands through everything that can go wrong on their way.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TimeoutError } from "@nats-io/nats-core";
import { Client } from "../src/index.js";
import { backEnd, cable, connection, intercept, Person, roomd } from "./harness.mjs";

/** The texts that are stored in a room. */
async function stored(url, roomID) {
  const service = backEnd(await connection(url));
  const { instanceID } = await service.get({ roomID, sync: true });
  const { events } = await service.history({ roomID, instanceID, afterMessageSeq: 0, sync: true });
  return events.map((e) => e.data.data);
}

const outcome = (promise) => promise.then(() => "done", (err) => `${err.code} ${err.outcome}`);

test("a command whose answer is lost happens once", async () => {
  const { url } = await roomd();
  const nc = await connection(url);
  let tries = 0;
  intercept(nc, "create", async (send) => {
    const reply = await send();
    if (++tries < 3) throw new TimeoutError();
    return reply;
  });
  const { sequence, room } = await new Client(nc, { userID: "alice" }).create({ roomID: "once" });
  assert.deepEqual([tries, sequence, room.memberCount], [3, 1, 1]);
});

test("a refusal after a try without an answer leaves the outcome open", async () => {
  const { url } = await roomd();
  const nc = await connection(url);
  let tries = 0;
  intercept(nc, "join", (send) => (++tries === 1 ? Promise.reject(new TimeoutError()) : send()));
  const client = new Client(nc, { userID: "alice" });
  assert.equal(await outcome(client.join({ roomID: "nowhere" })), "ROOM_NOT_EXIST unknown");
  assert.equal(await outcome(client.join({ roomID: "nowhere" })), "ROOM_NOT_EXIST none");
});

test("the service's wish to wait is honoured, and BUSY is no end", async () => {
  const { url } = await roomd();
  const nc = await connection(url);
  const at = [];
  intercept(nc, "enter", (send) => {
    at.push(performance.now());
    return at.length > 1 ? send() : Promise.resolve({
      headers: new Map([["Nats-Service-Error", "BUSY"]]),
      json: () => ({ error: { code: "BUSY", number: 7000005, message: "later", outcome: "none", retryAfterMs: 700 } }),
    });
  });
  await new Client(nc, { userID: "alice" }).enter({ roomID: "busy" });
  assert.equal(at.length, 2);
  assert.ok(at[1] - at[0] >= 695, `${at[1] - at[0]} ms`);
});

test("a message that is sent while the service is away is sent when it is back, once", async () => {
  const service = await roomd();
  const alice = await Person.in(await connection(service.url), "away", "alice");
  await service.kill("SIGKILL");
  const sent = ["one", "two", "three"].map((text) => alice.says(text));
  assert.ok(await service.start());
  await Promise.all(sent);
  await alice.hears("one", "two", "three");
  assert.deepEqual(await stored(service.url, "away"), ["one", "two", "three"]);
});

test("a connection that breaks while a command waits for its answer", async () => {
  const service = await roomd();
  const line = await cable(service.url);
  const nc = await connection(line.url);
  const alice = await Person.in(nc, "cut", "alice", { timeout: 100_000 });
  let tries = 0;
  intercept(nc, "send", (send) => {
    const answer = send();
    if (++tries === 1) nc.flush().then(() => (line.cut(), line.mend()));
    return tries === 1 ? answer.then(() => new Promise(() => {})) : answer;
  });
  await alice.says("hello");
  assert.equal(tries, 2);
  await alice.hears("hello");
  assert.deepEqual(await stored(service.url, "cut"), ["hello"]);
});

test("what a caller gives up on is not sent only if that is so", async () => {
  const service = await roomd();
  const line = await cable(service.url);
  const nc = await connection(line.url);
  const alice = await Person.in(nc, "given up", "alice");

  intercept(nc, "send", (send) => send().then(() => new Promise(() => {})));
  const late = new AbortController();
  const heard = alice.says("stored", { signal: late.signal });
  await alice.hears("stored");
  late.abort();
  assert.equal(await outcome(heard), "ABORTED unknown");

  line.cut();
  await alice.told("connecting networkInterrupted");
  const first = new AbortController();
  const second = new AbortController();
  const waiting = [first, second].map(({ signal }) => outcome(alice.says("not stored", { signal })));
  second.abort(); // while it waits for its turn
  assert.equal(await waiting[1], "ABORTED none");
  first.abort();
  assert.equal(await waiting[0], "ABORTED none");
  line.mend();
  await alice.told("connected success");
  assert.deepEqual(await stored(service.url, "given up"), ["stored"]);
});

test("no service, and a closed connection", async () => {
  const service = await roomd();
  const nc = await connection(service.url);
  const client = new Client(nc, { userID: "alice" });
  const enough = new AbortController();
  let tries = 0;
  const request = nc.request.bind(nc);
  nc.request = (subject, ...rest) => request(`nobody.${subject}`, ...rest).finally(() => ++tries === 4 && setImmediate(() => enough.abort("enough")));
  await assert.rejects(client.enter({ roomID: "a" }, enough), { code: "ABORTED", outcome: "none", cause: "enough" });
  assert.equal(tries, 4);
  const watch = client.states();
  await watch.ready;
  await nc.close();
  assert.equal(await outcome(client.join({ roomID: "a" })), "CONNECTION_CLOSED none");
  assert.equal(await outcome(watch.next()), "CONNECTION_CLOSED none");
});

test("repeats end before the service forgets", async (t) => {
  const { url } = await roomd();
  const nc = await connection(url);
  let now = Date.now();
  t.mock.method(Date, "now", () => now);
  let tries = 0;
  intercept(nc, "join", () => {
    tries++;
    now += 30_000;
    return Promise.reject(new TimeoutError());
  });
  assert.equal(await outcome(new Client(nc, { userID: "alice" }).join({ roomID: "a" })), "NO_ANSWER unknown");
  assert.equal(tries, 4); // at 0, 30, 60 and 90 s
});

test("commands of a session have the order in which they were given", async () => {
  const { url } = await roomd();
  const nc = await connection(url);
  const alice = new Client(nc, { userID: "alice" });
  const service = backEnd(nc);
  const watch = service.messages({ roomID: "fast", mayNotExist: true });
  await watch.ready;
  for (let round = 0; round < 50; round++) {
    const results = await Promise.all([
      alice.enter({ roomID: "fast" }), alice.send({ roomID: "fast", type: "text", data: `${round}` }), alice.leave({ roomID: "fast" }),
      alice.enter({ roomID: "fast" }), alice.send({ roomID: "fast", type: "text", data: `${round} again` }),
    ].map(outcome));
    assert.deepEqual([...new Set(results)], ["done"]);
  }
  const { memberCount } = await service.count({ roomID: "fast", sync: true });
  assert.equal(memberCount, 1);
  await watch.return();
});

test("unless told otherwise", async () => {
  const { url } = await roomd();
  const nc = await connection(url);
  const alice = new Client(nc, { userID: "alice" });
  await alice.enter({ roomID: "any" });
  let together = 0;
  let most = 0;
  intercept(nc, "send", async (send) => {
    most = Math.max(most, ++together);
    const reply = await send();
    together--;
    return reply;
  });
  const send = (options) => Promise.all(["a", "b", "c"].map((data) => alice.send({ roomID: "any", type: "text", data }, options)));
  await send();
  assert.equal(most, 1);
  await send({ ordered: false });
  assert.equal(most, 3);
});
