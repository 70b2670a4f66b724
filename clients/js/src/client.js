import { nuid } from "@nats-io/nats-core";
import { aborted, badID } from "./errors.js";
import { whole } from "./facts.js";
import { messages } from "./messages.js";
import { Presence } from "./presence.js";
import { connected, send } from "./retry.js";
import { states } from "./states.js";
import { Stream } from "./stream.js";
import { subjects } from "./wire.js";
import { watch } from "./watch.js";

const reads = ["get", "members", "count", "memberOf", "rooms", "list", "renew", "history", "instances", "blocked"];
const changes = [
  "create", "join", "enter", "switch", "leave", "leaveAll", "setAttributes", "setMemberAttributes", "send",
  "deleteMessages", "eraseUser", "kick", "setAccess", "destroy", "update", "updateMember", "setRole", "ban", "unban", "mute", "unmute",
  "block", "unblock",
];
const joining = new Set(["create", "join", "enter", "switch"]);
const leaving = new Set(["switch", "leave", "leaveAll"]);

// A page that is hidden runs its timers once a minute, and that has to be a third of its lease.
const leaseOfPage = 180;

/** A user's session on a connection, or a back end. It changes nothing on the connection, and does not close it. */
export class Client {
  #timeout;
  #leaseSeconds;
  #ordered;
  #turns = new Map(); // by session: the last command that is under way
  #end = new AbortController();
  #presence;

  constructor(nc, { userID = "", sessionID = nuid.next(), trusted = !userID, leaseSeconds, timeout = 15_000, ordered = true } = {}) {
    Object.assign(this, { nc, userID, sessionID, trusted });
    this.#leaseSeconds = leaseSeconds ?? (!trusted && globalThis.document ? leaseOfPage : undefined);
    this.#timeout = timeout;
    this.#ordered = ordered;
    this.#presence = new Presence(nc, (body, options) => this.#send("renew", this.#body(body), options), this.#end.signal);
  }

  /** Ends all loops and lets the session's lease run out. It leaves no room; commands still work. */
  close() {
    if (this.#end.signal.aborted) return;
    this.#end.abort();
    if (this.#presence.rooms.size === 0 || !this.#presence.lease || this.nc.isClosed()) return;
    // The connection may stay open, but does not speak for the session any more: a renewal that names none says so.
    const { leaseSeconds, ...last } = this.#body({});
    this.nc.publish(subjects.command("renew", this.trusted ? "" : this.userID), JSON.stringify(last));
  }

  /** Sends a command and returns its reply. Every verb is a method too. */
  async command(verb, body = {}, { signal, ordered = this.#ordered } = {}) {
    const reading = reads.includes(verb);
    const request = this.#body({ ...(reading ? {} : { requestID: nuid.next() }), ...body });
    const act = () => this.#send(verb, request, { signal });
    return reading || !ordered ? act() : this.#inTurn(`${request.userID}\n${request.sessionID}`, act, signal);
  }

  /** The room as it is, and then every fact of it once and in order. */
  watch(request) {
    return this.#stream((signal) => watch(this.#source(), request, signal), request);
  }

  /** Every message of a room, once and in order. */
  messages(request) {
    return this.#stream((signal) => messages(this.#source(), request, signal), request);
  }

  /** What happens to the client's own session, room by room. */
  states(options = {}) {
    return this.#stream((signal) => states(this.#source(), this.#presence, signal), options);
  }

  /** Renews the session's lease now. The client does that by itself when it is due. */
  check() {
    return this.#presence.renew();
  }

  #stream(run, { signal }) {
    return new Stream(run, this.#end.signal, signal);
  }

  /** What follows a room knows of the client. */
  #source() {
    return {
      nc: this.nc, userID: this.userID, sessionID: this.sessionID, trusted: this.trusted,
      ask: (verb, body, signal) => this.command(verb, body, { signal }),
      flush: async (signal) => {
        for (;;) {
          await connected(this.nc, 2 ** 31 - 1, signal);
          if (await this.nc.flush().then(() => true, () => false)) return;
        }
      },
      onRenewal: (listener) => this.#presence.on(listener),
    };
  }

  /** The body of a request that acts for the client's session if it names no other. */
  #body(body) {
    const request = { userID: this.userID, sessionID: this.sessionID, ...body };
    if (this.#isOwn(request) && this.#leaseSeconds !== undefined) request.leaseSeconds ??= this.#leaseSeconds;
    return request;
  }

  #isOwn(request) {
    return this.userID !== "" && request.userID === this.userID && request.sessionID === this.sessionID;
  }

  /** One command of a session after the other. */
  #inTurn(session, act, signal) {
    const before = this.#turns.get(session);
    const turn = (before ?? Promise.resolve()).then(() => {
      if (signal?.aborted) throw aborted("none", signal);
      return act();
    });
    const settled = turn.catch(() => {}).then(() => this.#turns.get(session) === settled && this.#turns.delete(session));
    this.#turns.set(session, settled);
    if (!signal || !before) return turn;
    const waiting = new Promise((_, reject) => { // it does not wait for its turn to be given up
      const abort = () => reject(aborted("none", signal));
      signal.addEventListener("abort", abort);
      before.then(() => signal.removeEventListener("abort", abort));
    });
    return Promise.race([turn, waiting]);
  }

  async #send(verb, request, { signal, timeout = this.#timeout } = {}) {
    let subject;
    try {
      subject = subjects.command(verb, this.trusted ? "" : request.userID);
    } catch (err) {
      throw badID("userID", err);
    }
    const own = this.#isOwn(request);
    const names = own && !request.connection && this.#leaseSeconds !== 0 && (!this.trusted || this.#leaseSeconds !== undefined);
    // A retry may use another connection; that does not make it another request.
    const body = () => ({ ...request, ...(names && this.nc.info && { connection: { serverID: this.nc.info.server_id, clientID: this.nc.info.client_id } }) });
    const done = own && leaving.has(verb) ? this.#presence.leaving() : undefined;
    try {
      const reply = await send(this.nc, subject, body, { timeout, signal, waits: verb !== "send" });
      if (own) this.#note(verb, request, reply);
      return verb === "history" ? { ...reply, events: reply.events.map(whole) } : reply;
    } catch (err) {
      if (own && verb === "leave" && ["USER_NOT_IN_ROOM", "ROOM_NOT_EXIST"].includes(err.code)) this.#presence.drop(request.roomID);
      throw err;
    } finally {
      done?.();
    }
  }

  /** Notes where the session is after a command, and its lease. */
  #note(verb, request, reply) {
    if (joining.has(verb)) this.#presence.put(reply.room.roomID, reply);
    if (reply.left && verb === "switch") this.#presence.drop(reply.left.roomID);
    if (verb === "leave") this.#presence.drop(request.roomID);
    if (verb === "leaveAll") this.#presence.drop(...reply.roomIDList);
    if (reply.expiresAt) this.#presence.leased(reply.leaseSeconds);
  }
}

for (const verb of [...reads, ...changes]) {
  Object.defineProperty(Client.prototype, verb, {
    configurable: true, writable: true,
    value(body, options) {
      return this.command(verb, body, options);
    },
  });
}
