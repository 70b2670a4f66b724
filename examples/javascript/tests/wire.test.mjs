import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { test } from "node:test";
import { TimeoutError } from "@nats-io/nats-core";
import { ask, Refused, server, token } from "../wire.mjs";
import { everyCommand, outcome } from "./commands.mjs";
import { connection, roomd } from "./harness.mjs";

const { url } = await roomd();

test("a user and a password in a URL", () => {
  assert.deepEqual(server("nats://127.0.0.1:4222"), { servers: "nats://127.0.0.1:4222" });
  assert.deepEqual(server("tls://u:a%40b@[::1]:4222"), { servers: "tls://[::1]:4222", user: "u", pass: "a@b" });
  assert.deepEqual(server("u:p@localhost"), { servers: "nats://localhost", user: "u", pass: "p" });
});

test("an ID is one token", () => {
  const tokens = {
    lobby: "lobby",
    "A-Z_09": "A-Z_09",
    "a.b>c": "a=2Eb=3Ec",
    "* =/": "=2A=20=3D=2F",
    "=projected": "=3Dprojected",
    "zimmer-ü": "zimmer-=C3=BC",
    日: "=E6=97=A5",
    "🎉": "=F0=9F=8E=89",
    "\u00a0": "=C2=A0",
    "!~'()%+": "=21=7E=27=28=29=25=2B",
  };
  for (const [id, want] of Object.entries(tokens)) assert.equal(token(id), want);
  for (let c = 0x20; c < 0x7f; c++) assert.match(token(String.fromCharCode(c)), /^([A-Za-z0-9_-]|=[0-9A-F]{2})$/);
  assert.throws(() => token("\ud800"), URIError);
});

test("the service takes every token for the ID it encodes", async () => {
  const nc = await connection(url);
  for (const id of ["a.b>c", "* =/", "=projected", "zimmer-ü", "🎉", "!~'()%+"]) {
    const { room, subscribe } = await ask(nc, id, "enter", { roomID: id });
    assert.equal(room.createdBy, id);
    assert.ok(subscribe.includes(`room.evt.${token(id)}`));
  }
});

test("a refusal says what is wrong", async () => {
  const nc = await connection(url);
  await assert.rejects(ask(nc, "alice", "join", { roomID: "nowhere" }), (err) => {
    assert.ok(err instanceof Refused);
    assert.deepEqual([err.code, err.number, err.outcome], ["ROOM_NOT_EXIST", 6000322, "none"]);
    assert.match(err.message, /nowhere/);
    return true;
  });
});

test("a command whose answer is lost happens once", async () => {
  const nc = await connection(url);
  const request = nc.request.bind(nc);
  let tries = 0;
  nc.request = async (...args) => {
    const reply = await request(...args);
    if (++tries < 3) throw new TimeoutError();
    return reply;
  };
  const { created, sequence, room } = await ask(nc, "alice", "create", { roomID: "once" });
  assert.deepEqual([tries, created ?? true, sequence, room.memberCount], [3, true, 1, 1]);
});

test("every command of the contract", async () => {
  const schemas = await readdir(new URL("../../../docs/contract/schemas/commands", import.meta.url));
  const verbs = schemas.map((file) => file.replace(".json", "")).sort();
  assert.deepEqual(await everyCommand(await connection(url), "node"), outcome("node", verbs));
});
