// The page: a form to join with, then the members and what they say. Everything that users
// wrote is shown as textContent.

import { nuid, wsconnect } from "@nats-io/nats-core";
import { Client, connectOptions, type } from "natsrooms";

const $ = (id) => document.getElementById(id);
const door = $("door");
const say = $("say");
const fields = ["user", "room", "server", "token"];
const session = ownSession();

let nc, client, me, roomID;

const why = {
  kickedOut: "You were put out of the room",
  kickedOutByOtherDevice: "You are here on another device now",
  roomNotExist: "The room has ended",
  connectTimeout: "You were away for too long",
};

for (const [name, value] of new URLSearchParams(location.search)) {
  if (door.elements[name]) door.elements[name].value = value;
}
/**
 * This tab's session: the same after a reload. A duplicated tab has a copy of the ID, but not
 * the lock, and gets a session of its own. Without locks (only http on this machine and
 * https have them) each load of the page is a new session.
 */
async function ownSession() {
  const kept = sessionStorage.sessionID;
  if (kept && (await hold(kept))) return kept;
  const id = nuid.next();
  await hold(id);
  return (sessionStorage.sessionID = id);
}

/** Holds a lock until the page is gone. A page that is just being left may still have it for a moment. */
function hold(id) {
  return new Promise((resolve) => {
    const held = () => new Promise(() => resolve(true));
    if (navigator.locks) navigator.locks.request(id, { signal: AbortSignal.timeout(1000) }, held).catch(() => resolve(false));
    else resolve(false);
  });
}

door.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = door.querySelector("button");
  button.disabled = true;
  $("refusal").textContent = "";
  const form = Object.fromEntries(fields.map((name) => [name, door.elements[name].value]));
  [me, roomID] = [form.user, form.room];
  try {
    nc = await wsconnect({ ...connectOptions(form.server, { userID: me }), name: "chat page", token: form.token || undefined });
    client = new Client(nc, { userID: me, sessionID: await session });
    const states = client.states();
    await client.enter({ roomID });
    sessionStorage.inside = JSON.stringify(form);
    open();
    follow(states, (notice) => told(notice));
    follow(client.watch({ roomID }), show);
    follow(client.messages({ roomID, last: 20 }), hear);
  } catch (err) {
    close(err.message || "No server answers there."); // a browser does not say why
  }
  button.disabled = false;
});

async function follow(loop, take) {
  try {
    for await (const step of loop) await take(step);
  } catch (err) {
    if (err.code === "CONNECTION_CLOSED" && door.hidden) close("The server closed the connection.");
    else console.info(err.message); // out of the room; the notice says why
  }
}

say.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = say.elements.text.value;
  if (!text.trim()) return;
  say.elements.text.value = "";
  waiting(+1);
  try {
    await client.send({ roomID, type: "text", data: text });
  } catch (err) {
    if (err.outcome === "none") say.elements.text.value ||= text;
    add("note", `${err.outcome === "none" ? "not sent" : "perhaps not sent"}: ${text} (${err.message})`);
  }
  waiting(-1);
});

let unsent = 0;
function waiting(more) {
  unsent += more;
  $("waiting").textContent = unsent > 0 ? `${unsent} to be sent` : "";
}

$("leave").addEventListener("click", async () => {
  delete sessionStorage.inside; // a reload in between does not come back
  await client.leave({ roomID }, { signal: AbortSignal.timeout(5000) }).catch(() => {}); // or its lease ends
  close("");
});

async function told({ roomID: where, state, event, reasonText, comeBack }) {
  if (where !== roomID) return;
  if (event === "networkInterrupted") showState("reconnecting");
  if (state === "connected") showState("connected");
  if (state !== "disconnected" || event === "networkDisconnected") return; // the latter is not known yet
  if (comeBack) {
    try {
      await client.enter({ roomID });
      return add("note", "you were away, and are back");
    } catch (err) {
      reasonText = err.message;
    }
  }
  close(event === "success" ? "" : `${why[event] ?? "You are no longer in the room"}${reasonText ? `: ${reasonText}` : "."}`);
}

function open() {
  $("title").textContent = roomID;
  talk.replaceChildren();
  $("members").replaceChildren();
  showState("connected");
  door.hidden = true;
  $("inside").hidden = false;
  say.elements.text.focus();
}

function close(reason) {
  delete sessionStorage.inside;
  client?.close();
  nc?.close();
  door.hidden = false;
  $("inside").hidden = true;
  $("refusal").textContent = reason;
}

function show({ fact, roster }) {
  const members = roster?.members() ?? [];
  const mine = members.filter((m) => m.userID === me);
  const others = members.filter((m) => m.userID !== me);
  $("members").replaceChildren(...[...mine, ...others].map((m) => element("li", m.userID === me ? "me" : "", m.userName || m.userID)));
  $("count").textContent = members.length;
  if (fact?.type === type("member.joined")) add("note", `${names(fact)} joined`);
  if (fact?.type === type("member.left")) add("note", `${names(fact)} left`);
}

const names = ({ data }) => data.memberList.map((m) => m.userName || m.userID).join(", ");

function hear({ data }) {
  const time = new Date(data.timestamp).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const mine = data.senderUserID === me;
  add(mine ? "me" : "", data.data, mine ? time : `${data.senderUserID}, ${time}`);
}

const talk = $("talk");
let atEnd = true; // nobody is reading further up
const toEnd = () => atEnd && talk.scrollTo(0, talk.scrollHeight);
talk.addEventListener("scroll", () => (atEnd = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 40));
new ResizeObserver(toEnd).observe(talk);

function add(className, text, caption) {
  const line = element("li", className, text);
  if (caption) line.prepend(element("span", "", caption));
  talk.append(line);
  if (className === "me") atEnd = true;
  toEnd();
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function showState(text) {
  $("state").textContent = text;
  $("state").className = text === "connected" ? "on" : "";
}

if (sessionStorage.inside) { // the page was reloaded, or its tab duplicated
  for (const [name, value] of Object.entries(JSON.parse(sessionStorage.inside))) door.elements[name].value = value;
  door.requestSubmit();
}
