// The page: a form to join with, then the members and what they say. Everything that users
// wrote is shown as textContent.

import { nuid, wsconnect } from "@nats-io/nats-core";
import { Client, connectOptions, type } from "natsrooms";

const $ = (id) => document.getElementById(id);
const door = $("door");
const say = $("say");
const fields = ["user", "room", "server", "token"];
const session = ownSession();

let nc, client, me, roomID, iAmHost;

const why = {
  kickedOut: "You were put out of the room",
  kickedOutByOtherDevice: "You are here on another device now",
  roomNotExist: "The room has ended",
  connectTimeout: "You were away for too long",
};

/** Until when a ban or a mute lasts; it may be as long as the room exists. */
const until = (of) => (of.until ? ` until ${new Date(of.until).toLocaleString([], { dateStyle: "short", timeStyle: "short" })}` : "");

// What users may not do, in the page's own words.
const refusals = {
  BANNED: (err) => `You are banned from this room${until(err)}.`,
  MUTED: (err) => `You are muted${until(err)}, so nobody has seen what you wrote.`,
};

/** So many seconds in words. */
const span = (s) => (s % 60 ? `${s} second${s === 1 ? "" : "s"}` : `${s / 60} minute${s === 60 ? "" : "s"}`);

/** Says why something from a menu did not work. */
function failed(err) {
  if (err.code !== "NOT_ALLOWED") add("note", `That did not work: ${err.message}.`);
  else if (err.limit) add("note", `You can delete what you said for ${span(err.limit)} only.`);
  else add("note", "Only hosts of the room may do that.");
}

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
    await client.enter({ roomID, config: { hosts: "creator" } }); // who makes the room runs it
    sessionStorage.inside = JSON.stringify(form);
    open();
    follow(states, (notice) => told(notice));
    follow(client.watch({ roomID }), show);
    follow(client.messages({ roomID, last: 20, deleted: forget }), hear);
  } catch (err) {
    close(refusals[err.code]?.(err) ?? (err.message || "No server answers there.")); // a browser does not say why
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
    if (refusals[err.code]) add("note", refusals[err.code](err));
    else add("note", `${err.outcome === "none" ? "not sent" : "perhaps not sent"}: ${text} (${err.message})`);
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

async function told({ roomID: where, state, event, error, reasonText, comeBack }) {
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
  const what = error ? `You were banned from the room${until(error)}` : why[event] ?? "You are no longer in the room";
  close(event === "success" ? "" : `${what}${reasonText ? `: ${reasonText}` : "."}`);
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
  $("menu").hidePopover();
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
  iAmHost = mine[0]?.role === "host";
  talk.classList.toggle("host", iAmHost); // then every message has a menu
  $("members").replaceChildren(...[...mine, ...others].map(entry));
  $("count").textContent = members.length;
  const what = fact && { // by type: what a line says
    "member.joined": () => `${names(fact)} joined`,
    "member.left": () => fact.data.memberList.map((m) => `${m.userName || m.userID} ${m.reason === "kicked" ? "was put out" : "left"}`).join(", "),
    "member.updated": () => fact.data.infos.filter((m) => m.role).map((m) => `${m.userID} is ${m.role === "host" ? "a host" : "no host any more"}`).join(", "),
    "room.access.changed": () => (fact.data.mutes ?? []).map((m) => `${m.userID} ${m.lifted ? "may speak again" : `is muted${until(m)}${m.reason ? `: ${m.reason}` : ""}`}`).join(", "),
  }[fact.type.replace(/^io\.natsrooms\.|\.v1$/g, "")]?.();
  if (what) add("note", what);
}

/** A member in the list. Hosts have a mark, and for a host each of the others is a button with a menu. */
function entry(member) {
  const { userID, userName, role } = member;
  const line = element("li", userID === me ? "me" : "", "");
  const name = element(iAmHost && userID !== me ? "button" : "span", role === "host" ? "host" : "", userName || userID);
  if (name.tagName === "BUTTON") name.type = "button";
  name.onclick = name.tagName === "BUTTON" ? () => openMenu(`What to do with ${userName || userID}`, deeds(member), name) : null;
  line.append(name);
  return line;
}

const minutes = 10;

/** What a host may do with somebody: the labels, and the commands that they stand for. */
const deeds = ({ userID, role }) => {
  const who = { roomID, userIDs: [userID] };
  return [
    ["Kick", () => client.kick({ ...who, reason: "a host asks you to leave" })],
    [`Ban for ${minutes} minutes`, () => client.ban({ ...who, seconds: minutes * 60, reason: "a host does not want you here" })],
    [`Mute for ${minutes} minutes`, () => client.mute({ ...who, seconds: minutes * 60, reason: "a host asks you to be quiet" })],
    ["Unmute", () => client.unmute(who)],
    role === "host" ? ["Make no host", () => client.setRole({ ...who, role: "member" })] : ["Make host", () => client.setRole({ ...who, role: "host" })],
  ];
};

/** What may be done with a message: its sender may delete it for a while, a host at any time. */
const deedsWith = ({ messageSeq, senderUserID }) => {
  const remove = ["Delete", () => client.deleteMessages({ roomID, messageSeqs: [messageSeq] })];
  if (!iAmHost || senderUserID === me || !senderUserID) return [remove];
  return [remove, ...deeds({ userID: senderUserID }).filter(([label]) => /^(Ban|Mute|Unmute)/.test(label))];
};

function openMenu(label, list, at) {
  const menu = $("menu");
  menu.ariaLabel = label;
  menu.replaceChildren(...list.map(([label, act]) => {
    const item = element("button", "", label);
    item.type = "button";
    item.role = "menuitem";
    item.onclick = () => {
      menu.hidePopover();
      act().catch(failed);
    };
    return item;
  }));
  menu.showPopover();
  const { left, bottom } = at.getBoundingClientRect();
  menu.style.left = `${Math.max(8, Math.min(left, innerWidth - menu.offsetWidth - 8))}px`;
  menu.style.top = `${Math.min(bottom + 4, innerHeight - menu.offsetHeight - 8)}px`;
  menu.firstChild.focus();
}

$("menu").addEventListener("keydown", (event) => {
  const items = [...$("menu").children];
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  items.at((items.indexOf(document.activeElement) + step) % items.length).focus();
});

const names = ({ data }) => data.memberList.map((m) => m.userName || m.userID).join(", ");

function hear({ data }) {
  const time = new Date(data.timestamp).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const mine = data.senderUserID === me;
  const caption = mine ? time : `${data.senderUserID}, ${time}`;
  if (!data.messageSeq) { // live only
    add(mine ? "me" : "", data.data, caption);
    return;
  }
  const more = element("button", "more", "⋯");
  more.type = "button";
  more.ariaLabel = `What to do with: ${data.data.slice(0, 40)}`;
  more.ariaHasPopup = "menu";
  more.onclick = () => openMenu(more.ariaLabel, deedsWith(data), more);
  add(mine ? "me" : "", data.data, caption, more).dataset.seq = data.messageSeq;
}

/** Takes deleted messages off the screen. */
function forget({ messageSeqs }) {
  for (const seq of messageSeqs) {
    const line = talk.querySelector(`[data-seq="${seq}"]`);
    if (line?.contains(document.activeElement)) say.elements.text.focus();
    line?.remove();
  }
}

const talk = $("talk");
let atEnd = true; // nobody is reading further up
const toEnd = () => atEnd && talk.scrollTo(0, talk.scrollHeight);
let reached = 0; // where it was scrolled to
talk.addEventListener("scroll", () => {
  if (talk.scrollHeight - talk.scrollTop - talk.clientHeight < 40) atEnd = true;
  else if (talk.scrollTop < reached) atEnd = false; // what grows below, or a window that shrinks, is nobody reading
  reached = talk.scrollTop;
});
new ResizeObserver(toEnd).observe(talk);

function add(className, text, caption, button) {
  const line = element("li", className, text);
  if (caption) line.prepend(element("span", "", caption));
  if (button) line.prepend(button); // before the end is looked for: it may make the line higher
  talk.append(line);
  if (className === "me") atEnd = true;
  toEnd();
  return line;
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
