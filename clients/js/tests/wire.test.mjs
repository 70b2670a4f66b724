import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { test } from "node:test";
import { Client, connectOptions, RoomError, token } from "../src/index.js";
import { everyCommand, outcome } from "./commands.mjs";
import { connection, roomd } from "./harness.mjs";

const { url } = await roomd();

test("a server's URL as options", () => {
  const always = { maxReconnectAttempts: -1, pingInterval: 10_000 };
  assert.deepEqual(connectOptions("nats://127.0.0.1:4222"), { servers: "nats://127.0.0.1:4222", ...always });
  assert.deepEqual(connectOptions("tls://u:a%40b@[::1]:4222"), { servers: "tls://[::1]:4222", user: "u", pass: "a@b", ...always });
  assert.deepEqual(connectOptions("u:p@localhost"), { servers: "nats://localhost", user: "u", pass: "p", ...always });
  assert.equal(connectOptions("localhost", { userID: "a.b" }).inboxPrefix, "_INBOX_a=2Eb");
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
  for (const userID of ["a.b>c", "* =/", "=projected", "zimmer-ü", "🎉", "!~'()%+"]) {
    const { room, subscribe } = await new Client(nc, { userID }).enter({ roomID: userID });
    assert.equal(room.createdBy, userID);
    assert.ok(subscribe.includes(`room.evt.${token(userID)}`));
  }
});

test("a refusal says what is wrong", async () => {
  const nc = await connection(url);
  await assert.rejects(new Client(nc, { userID: "alice" }).join({ roomID: "nowhere" }), (err) => {
    assert.ok(err instanceof RoomError);
    assert.deepEqual([err.code, err.number, err.outcome], ["ROOM_NOT_EXIST", 6000322, "none"]);
    assert.match(err.message, /nowhere/);
    return true;
  });
  await assert.rejects(new Client(nc, { userID: "\ud800" }).join({ roomID: "nowhere" }), { code: "PARAM_INVALID", field: "userID", outcome: "none" });
  await assert.rejects(new Client(nc, { userID: "alice" }).send({ roomID: "a", type: "text", data: "x".repeat(2 ** 21) }), { outcome: "none" });
});

test("every command of the contract", async () => {
  const schemas = await readdir(new URL("../../../docs/contract/schemas/commands", import.meta.url));
  const verbs = schemas.map((file) => file.replace(".json", "")).sort();
  assert.deepEqual(await everyCommand(await connection(url), "node"), outcome("node", verbs));
});
