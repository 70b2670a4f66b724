// Connections, commands and their answers.

import { readFileSync } from "node:fs";
import { createInbox, credsAuthenticator, headers as newHeaders } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { checkEvent, codes, short, valid } from "./contract.mjs";
import { whole } from "./whole.mjs";

const answerWithin = 15_000; // a service answers within 10 s
const maxReply = 256 << 10;

/** The ID of a room or user as one token of a subject. */
export function token(id) {
  const escape = (c) => `=${c.toString(16).toUpperCase().padStart(2, "0")}`;
  return [...Buffer.from(id)].map((c) => (/[A-Za-z0-9_-]/.test(String.fromCharCode(c)) ? String.fromCharCode(c) : escape(c))).join("");
}

/** Connects. who has token, tokenFile, creds, or user and pass; and a server that may have them in its URL. */
export function join(who, options = {}) {
  const { protocol, host, username, password } = new URL(who.server.includes("://") ? who.server : `nats://${who.server}`);
  const login = { servers: `${protocol}//${host}`, maxReconnectAttempts: -1, ignoreClusterUpdates: true, ...options };
  const user = (name, pass) => Object.assign(login, { user: name, pass });
  if (username) user(decodeURIComponent(username), decodeURIComponent(password));
  if (who.user) user(who.user, who.pass);
  if (who.tokenFile) login.token = readFileSync(who.tokenFile, "utf8").trim();
  if (who.token) login.token = who.token;
  if (who.creds) {
    const text = readFileSync(who.creds, "utf8").trim();
    if (text.includes("BEGIN")) login.authenticator = credsAuthenticator(Buffer.from(text));
    else user(...text.split(/:(.*)/s));
  }
  return connect(login);
}

let arrivals = 0;

/** A number for what arrives now; what arrives later has a higher one. */
export const arrival = () => ++arrivals;

/** Requests on one connection. Answers are numbered as they arrive, unlike those of nc.request. */
class Requests {
  static #of = new WeakMap();
  #waiting = new Map();
  #next = 0;

  static on(nc) {
    if (!Requests.#of.has(nc)) Requests.#of.set(nc, new Requests(nc));
    return Requests.#of.get(nc);
  }

  constructor(nc) {
    this.nc = nc;
    this.inbox = createInbox(nc.options.inboxPrefix);
    nc.subscribe(`${this.inbox}.*`, { callback: (err, msg) => err || this.#waiting.get(msg.subject)?.(msg) });
  }

  send(subject, bytes, headers, within) {
    const reply = `${this.inbox}.${this.#next++}`;
    return new Promise((resolve, reject) => {
      const end = (settle, value) => {
        clearTimeout(timer);
        this.#waiting.delete(reply);
        settle(value);
      };
      const timer = setTimeout(() => end(reject, new Error(`it got no answer within ${within / 1000} s`)), within);
      this.#waiting.set(reply, (msg) => {
        if (msg.headers?.code === 503 && msg.data.length === 0) end(reject, new NoResponders(subject));
        else end(resolve, { msg, arrived: arrival() });
      });
      this.nc.publish(subject, bytes, { reply, headers });
    });
  }
}

/** Nobody serves a verb. */
export class NoResponders extends Error {
  constructor(subject) {
    super(`it has no responders: no service answers on ${subject}`);
  }
}

/** A refusal where a success was expected. */
export class Refused extends Error {
  constructor(verb, body) {
    super(`${verb} was refused with ${body.error.code}: ${body.error.message}`);
    Object.assign(this, body.error);
  }
}

/** Somebody who sends commands: a back end, for a user or for nobody, or an end user. */
export class Caller {
  /** who is {userID?, sessionID?}; with own, it is that user's own connection. */
  constructor(nc, who, { own = false, used }) {
    Object.assign(this, { nc, who, own, used, userID: who.userID });
  }

  /** The same user with another session. */
  session(sessionID) {
    return new Caller(this.nc, { ...this.who, sessionID }, this);
  }

  subject(verb) {
    return `room.cmd.${verb}${this.own ? `.${token(this.userID)}` : ""}`;
  }

  body(body) {
    const { userID, ...rest } = this.who;
    return { ...(this.own ? rest : this.who), ...body };
  }

  /** Sends bytes, and gives what came back: msg, and the number of its arrival. */
  raw(verb, bytes, headers = {}) {
    const h = newHeaders();
    for (const [name, value] of Object.entries(headers)) h.set(name, value);
    return Requests.on(this.nc).send(this.subject(verb), bytes, h, answerWithin).catch((err) => {
      err.message = `${verb}: ${err.message}`;
      throw err;
    });
  }

  /** Sends a command, which must succeed, and gives the reply. */
  async ask(verb, body = {}, headers) {
    const full = this.body(body);
    valid(`commands/${verb}`, full);
    const { reply, ignored } = await this.answer(verb, full, headers);
    if (reply.error) throw new Refused(verb, reply);
    if (ignored) throw new Error(`${verb} was answered as if the fields ${ignored} were not known; the contract has them`);
    return reply;
  }

  /** Sends a command that may be refused, and gives the reply, with error in it if it was. */
  async answer(verb, full, headers) {
    const { msg, arrived } = await this.raw(verb, typeof full === "string" ? full : JSON.stringify(full), headers);
    this.answered = arrived;
    const text = msg.string();
    if (text.length > maxReply) throw new Error(`the reply to ${verb} has ${text.length} bytes; no reply has more than ${maxReply}`);
    const reply = parse(verb, text);
    const error = msg.headers?.get("Nats-Service-Error") ?? "";
    if (error || reply.error) {
      refusal(verb, msg, reply);
      this.used.codes.add(error);
    } else {
      valid(`replies/${verb}`, reply);
      if (verb === "history") reply.events = reply.events.map((e) => whole(checkEvent(JSON.stringify(e))));
      this.used.verbs.add(verb);
    }
    return { reply, ignored: msg.headers?.get("Room-Ignored-Fields") ?? "" };
  }

  /** Sends a command that must be refused with a code, and gives the refusal. more is what it must have, such as field. */
  async refused(code, verb, body = {}, more = {}) {
    const { reply } = await this.answer(verb, typeof body === "string" ? body : this.body(body));
    const seen = reply.error;
    const sent = short(body);
    if (!seen) throw new Error(`${verb} ${sent} must be refused with ${code}; it succeeded: ${short(reply)}`);
    for (const [name, want] of Object.entries({ code, number: codes[code], outcome: "none", ...more })) {
      const is = seen[name] ?? "";
      if (want instanceof RegExp ? !want.test(is) : is !== want) throw new Error(`${verb} ${sent}: error.${name} must be ${want}; it is ${is === "" ? "missing" : is}, in ${short(seen)}`);
    }
    return { ...reply, ...seen };
  }
}

function parse(verb, text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`the reply to ${verb} is not JSON: ${short(text)}`);
  }
}

function refusal(verb, msg, reply) {
  const [name, number] = ["Nats-Service-Error", "Nats-Service-Error-Code"].map((h) => msg.headers?.get(h) ?? "");
  if (!reply.error || !name) throw new Error(`a refusal of ${verb} has the header Nats-Service-Error "${name}" and the body ${short(reply)}; it must have an error in both`);
  valid("error", reply);
  const { code, number: n, message } = reply.error;
  if (name !== code || number !== String(n)) throw new Error(`a refusal of ${verb} has ${name} ${number} in its headers and ${code} ${n} in its body`);
  if (!(code in codes)) throw new Error(`a refusal of ${verb} has the code ${code}, which the contract does not have`);
  if (!message.trim()) throw new Error(`the refusal ${code} of ${verb} has no message for people`);
}
