// The page: a form to join with, then the members and what they say. Everything that users
// wrote is shown as textContent.

import { nuid, wsconnect } from "@nats-io/nats-core";
import { enter } from "../room.mjs";
import { token, type } from "../wire.mjs";

const $ = (id) => document.getElementById(id);
const door = $("door");
const say = $("say");

// One session per tab, the same after a reload.
const sessionID = (sessionStorage.sessionID ??= nuid.next());

for (const [name, value] of new URLSearchParams(location.search)) {
  if (door.elements[name]) door.elements[name].value = value;
}

let nc, room, me, leaving;

door.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = door.querySelector("button");
  button.disabled = true;
  $("refusal").textContent = "";
  me = door.elements.user.value;
  leaving = false;
  $("title").textContent = door.elements.room.value;
  $("talk").replaceChildren();
  try {
    nc = await wsconnect({
      servers: door.elements.server.value,
      name: "chat page",
      token: door.elements.token.value || undefined,
      inboxPrefix: `_INBOX_${token(me)}`,
      maxReconnectAttempts: -1,
      pingInterval: 10_000, // so that a dead connection is noticed before the lease ends
    });
    showState(nc);
    const options = { leaseSeconds: 180, heard, failed: console.warn }; // timers of a hidden tab run once a minute
    room = await enter(nc, door.elements.room.value, { userID: me, sessionID }, options);
  } catch (err) {
    $("refusal").textContent = err.message || "No server answers there."; // a browser does not say why
    await nc?.close();
  }
  button.disabled = false;
});

say.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = say.elements.text.value;
  if (!text) return;
  say.elements.text.value = "";
  try {
    await room.command("send", { type: "text", data: text });
  } catch (err) {
    add("note", `not sent: ${err.message}`);
    say.elements.text.value ||= text;
  }
});

$("leave").addEventListener("click", async () => {
  leaving = true;
  try {
    await room.command("leave");
    room.close();
  } catch (err) {
    leaving = false;
    add("note", `still here: ${err.message}`);
  }
});

document.addEventListener("visibilitychange", () => document.hidden || room?.check());

// Best effort: a tab that is being closed has no time to wait for an answer.
addEventListener("pagehide", () => room?.open && room.command("leave"));

function heard(now, event) {
  const moved = !door.hidden === now.open;
  door.hidden = now.open;
  $("inside").hidden = !now.open;
  if (!now.open) {
    nc.close();
    $("refusal").textContent = leaving ? "" : "You are no longer in the room.";
    return;
  }
  if (moved) say.elements.text.focus();
  const members = [...now.members.values()].sort((a, b) => a.joinedAt.localeCompare(b.joinedAt));
  $("members").replaceChildren(...members.map((m) => element("li", m.userID === me ? "me" : "", m.userName || m.userID)));
  $("count").textContent = members.length;
  if (event) show(event);
}

function show({ type: what, data }) {
  if (what === type("message.sent")) {
    const time = new Date(data.timestamp).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const mine = data.senderUserID === me;
    add(mine ? "me" : "", data.data, mine ? time : `${data.senderUserID}, ${time}`);
  }
  if (what === type("member.joined")) add("note", `${data.memberList.map((m) => m.userName || m.userID).join(", ")} joined`);
  if (what === type("member.left")) add("note", `${data.memberList.map((m) => m.userName || m.userID).join(", ")} left`);
}

function add(className, text, caption) {
  const line = element("li", className, text);
  if (caption) line.prepend(element("span", "", caption));
  $("talk").append(line);
  line.scrollIntoView({ block: "end" });
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

async function showState(connection) {
  const show = (on) => {
    $("state").textContent = on ? "connected" : "reconnecting";
    $("state").className = on ? "on" : "";
  };
  show(true);
  for await (const status of connection.status()) {
    if (status.type === "disconnect") show(false);
    if (status.type === "reconnect") show(true);
  }
}
