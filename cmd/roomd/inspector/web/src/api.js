// What the page asks of roomd, and whether roomd is there to answer.

import { Store } from "./store.js";

const base = new URL("api/", document.baseURI);

/** The session as roomd knows it; null until it has said so. */
export const session = new Store(null);

/** Whether roomd answers: {up, since, back}. back is true for a while after it has been away. */
export const contact = new Store({ up: true, since: Date.now(), back: false });

/** Counts the times that roomd is there again after it was away: who looks at it reads anew. */
export const epoch = new Store(0);

/** A refusal: its code from the one table, its HTTP status, and its sentence. */
export class Refusal extends Error {
  constructor(status, { code, message, field, retryAfterMs }) {
    super(message);
    Object.assign(this, { status, code, field, retryAfterMs });
  }
}

/** roomd does not answer at all. */
export class Away extends Error {
  constructor() {
    super("roomd does not answer; the page goes on as soon as it does");
  }
}

let asking; // the timer of the next attempt to reach roomd
let waits = 0;

function lost() {
  if (!contact.value.up) return;
  contact.value = { up: false, since: Date.now(), back: false };
  waits = 0;
  askAgain();
}

function askAgain() {
  clearTimeout(asking);
  asking = setTimeout(() => open().catch(() => askAgain()), Math.min(500 * 1.5 ** waits++, 5000));
}

let unsaid;
function found() {
  if (contact.value.up) return;
  contact.value = { up: true, since: Date.now(), back: true };
  epoch.value += 1;
  clearTimeout(unsaid);
  unsaid = setTimeout(() => {
    if (contact.value.up) contact.value = { ...contact.value, back: false };
  }, 8000);
}

async function ask(path, init, signal) {
  let response, body;
  try {
    response = await fetch(new URL(path, base), { ...init, cache: "no-store", signal });
    body = await response.json();
  } catch (err) {
    if (signal?.aborted) throw err;
    lost();
    throw new Away();
  }
  if (response.ok) return body;
  const error = body.error ?? { code: "UNAVAILABLE", message: `roomd answered ${response.status}` };
  if (response.status === 401 && path !== "login") session.value = { ...session.value, loginNeeded: true, loggedIn: false, ended: true };
  throw new Refusal(response.status, error);
}

/** Asks who one is here. It also finds out that roomd is there again. */
export async function open() {
  const was = session.value;
  const now = await ask("session");
  session.value = { ...now, ended: now.loginNeeded && !now.loggedIn && (was?.loggedIn || was?.ended) };
  found();
  return session.value;
}

export const get = (path, params, signal) => {
  const query = new URLSearchParams(Object.entries(params ?? {}).filter(([, value]) => value !== undefined && value !== ""));
  return ask(query.size ? `${path}?${query}` : path, undefined, signal);
};

export const post = (path, body = {}, signal) => ask(path, {
  method: "POST",
  headers: { "Content-Type": "application/json", ...(session.value?.csrf && { "X-CSRF-Token": session.value.csrf }) },
  body: JSON.stringify(body),
}, signal);

/** Gives a command, as a back end. */
export const command = (verb, body, signal) => post(`command/${verb}`, body, signal);

/** Asks about webhooks, or says what becomes of dead letters, as a back end. */
export const webhooks = (action, body, signal) => post(`webhooks/${action}`, body, signal);

export async function login(password) {
  session.value = await post("login", { password });
  epoch.value += 1;
}

export async function logout() {
  await post("logout");
  session.value = { ...(await ask("session")), ended: false };
}

/**
 * Follows a stream of events until what it returns is called: take gets each event's name and
 * data. The stream is closed while the page is hidden, and made again when it is looked at or
 * when roomd is back; then it goes on where it was, if roomd still knows. fails is called if it
 * can't be had again and again though roomd is there.
 */
export function follow(path, params, names, take, fails = () => {}) {
  let source, id = "", again, tries = 0, over = false;
  const close = () => {
    source?.close();
    source = undefined;
    clearTimeout(again);
  };
  const start = () => {
    close();
    if (over || document.hidden || !contact.value.up) return;
    const query = new URLSearchParams({ ...params, ...(id && { lastEventID: id }) });
    source = new EventSource(new URL(query.size ? `${path}?${query}` : path, base));
    for (const name of names) {
      source.addEventListener(name, (event) => {
        tries = 0;
        id = event.lastEventId || id;
        take(name, JSON.parse(event.data));
      });
    }
    source.onerror = () => {
      close();
      // Is it roomd, the session, or only this stream? Whichever it is, asking tells.
      open().then(() => tries > 1 && fails(), () => {}).then(() => {
        if (!over) again = setTimeout(start, Math.min(250 * 2 ** tries++, 5000));
      });
    };
  };
  const seen = () => (document.hidden ? close() : source || start());
  document.addEventListener("visibilitychange", seen);
  const unfollow = epoch.follow(start);
  start();
  return () => {
    over = true;
    close();
    unfollow();
    document.removeEventListener("visibilitychange", seen);
  };
}
