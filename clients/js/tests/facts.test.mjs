// Facts as the service writes them, and as it wrote them before anything was left out.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { whole } from "../src/facts.js";
import { whole as conformed } from "../../../docs/contract/conform/lib/whole.mjs";

const files = new URL("../../../events/testdata/", import.meta.url);
const event = async (name) => JSON.parse(await readFile(new URL(name, files), "utf8"));

test("what a fact leaves out is filled in as facts from before have it", async () => {
  const names = await readdir(new URL("before/", files));
  assert.ok(names.length >= 10);
  for (const name of names) {
    const before = await event(`before/${name}`);
    assert.notDeepEqual(await event(name), before, name);
    for (const fill of [whole, conformed]) {
      assert.deepEqual(fill(await event(name)), before, name);
      assert.deepEqual(fill(before), before, `${name} from before`);
    }
  }
});

test("a fact in which all is usual", () => {
  const lean = (type, data) => ({
    specversion: "1.0", id: "E1", source: "/rooms/lobby/I1", type: `io.natsrooms.${type}.v1`, subject: "lobby", datacontenttype: "application/json",
    time: "2026-01-01T00:00:00.007Z", data: { sequence: 7, ...data }, partitionkey: "lobby", roominstance: "I1", sequence: "00000000000000000007",
  });
  const time = "2026-01-01T00:00:00.007Z";
  const position = { roomID: "lobby", instanceID: "I1", sequence: 7 };
  const room = { ...position, roomName: "", createdAt: time, createdBy: "", config: {}, attributes: {}, memberCount: 0 };
  const joined = { userID: "bob", userName: "", sessionID: "default", joinedAt: time, via: "enter" };
  for (const [type, data, want] of [
    ["room.created", { room: {} }, { room, memberList: [] }],
    ["room.created", { room: {}, memberList: [{ userID: "bob", sessionID: "default" }] }, { room: { ...room, memberCount: 1 }, memberList: [joined] }],
    ["member.joined", { memberList: [{ userID: "bob", sessionID: "default" }], memberCount: 1 }, { memberList: [joined], memberCount: 1 }],
    ["session.joined", { memberList: [{ userID: "bob", sessionID: "default" }], memberCount: 1 }, { memberList: [joined], memberCount: 1 }],
    ["member.left", { memberList: [{ userID: "bob", sessionID: "default" }], memberCount: 0 }, { memberList: [{ userID: "bob", userName: "", sessionID: "default", joinedAt: time, leftAt: time, reason: "left" }], memberCount: 0 }],
    ["room.attributes.changed", { set: { k: "v" }, userID: "bob", changes: [] }, { set: { k: "v" }, delete: [], owners: { k: "bob" }, userID: "bob", changes: [] }],
    ["room.attributes.changed", { delete: ["k"], userID: "bob", changes: [] }, { set: {}, delete: ["k"], owners: {}, userID: "bob", changes: [] }],
    ["member.attributes.changed", { infos: [], userID: "bob" }, { infos: [], userID: "bob", deleteAfterOwnerLeft: true }],
    ["room.access.changed", { access: "open" }, { access: "open", allowedUsers: [], userID: "" }],
    ["room.updated", { config: {} }, { roomName: "", config: {}, userID: "" }],
    ["member.updated", { infos: [{ userID: "bob", userName: "Bob" }] }, { infos: [{ userID: "bob", userName: "Bob" }], userID: "" }],
    ["room.kept", {}, {}],
    ["room.destroyed", { room: {}, reason: "empty" }, { room, reason: "empty" }],
    ["room.painted", { colour: "red" }, { colour: "red" }], // of a later version
  ]) {
    for (const fill of [whole, conformed]) assert.deepEqual(fill(lean(type, data)).data, { ...position, ...want }, type);
  }
});

test("what is always said is not missed either", async () => {
  for (const name of ["member.joined.v1.json", "member.left.v1.json"]) {
    const bare = await event(name);
    delete bare.data.sequence;
    for (const entry of bare.data.memberList) if (entry.sessionID === "default") delete entry.sessionID;
    assert.notDeepEqual(bare, await event(name));
    assert.deepEqual(whole(bare), await event(`before/${name}`));
  }
});

test("messages and notices are as they are", async () => {
  for (const name of ["message.sent.v1.json", "user.state.changed.v1.json"]) {
    for (const fill of [whole, conformed]) assert.deepEqual(fill(await event(name)), await event(name));
  }
});
