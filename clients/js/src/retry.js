// How a request is sent, and sent again.

import { aborted, connectionClosed, disconnected, failed, RoomError } from "./errors.js";
import { linkOf } from "./link.js";

// A request is sent again after a pause. The pause doubles each time, and is shortened at
// random by up to a half so that many clients do not retry in step.
const firstPause = 20;
const maxPause = 2000;

// How long after its first try a request may be sent again. The service remembers an outcome
// for two minutes; the rest of them is longer than a command can be on its way.
const repeatFor = 110_000;

const repeatable = new Set(["BUSY", "UNAVAILABLE", "NO_SERVICE", "NO_ANSWER", "DISCONNECTED"]);

const isRepeatable = (err) => repeatable.has(err.code);

// The same for a request that may wait until its user may go on. What is said may not: it would
// be heard too late.
const isPatient = (err) => isRepeatable(err) || err.code === "RATE_LIMITED";

/** A pause of at most ms, shortened at random. */
export const jitter = (ms) => ms / 2 + Math.random() * (ms / 2);

/** Resolves after ms, and as soon as signal is aborted. */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    if (signal?.aborted) end();
    else signal?.addEventListener("abort", end);
  });
}

/**
 * Sends a request until there is an answer that would not change if it were sent again, for
 * 110 s at most, and returns the reply. body() is the body of the next try. Whatever it
 * throws is a RoomError, whose outcome is "none" only if no try can have had an effect.
 */
export async function send(nc, subject, body, { timeout, signal, waits = true }) {
  const until = Date.now() + repeatFor;
  let outcome = "none"; // "unknown" once a try may still take effect
  for (let next = firstPause; ; next = Math.min(2 * next, maxPause)) {
    if (signal?.aborted) throw aborted(outcome, signal);
    let err;
    try {
      await connected(nc, until - Date.now(), signal);
      if (signal?.aborted) throw aborted("none", signal);
      return await attempt(nc, subject, body(), timeout, signal);
    } catch (e) {
      err = e;
    }
    if (outcome === "unknown") err.outcome = outcome;
    outcome = err.outcome;
    const wait = Math.max(jitter(next), err.retryAfterMs ?? 0);
    if (!(waits ? isPatient : isRepeatable)(err) || Date.now() + wait > until) throw err;
    await pause(wait, signal);
  }
}

/** Asks, which may fail for a while, until the answer would not change if it asked again. */
export async function persistent(ask, signal) {
  for (;;) {
    try {
      return await ask();
    } catch (err) {
      if (signal.aborted || !isPatient(err)) throw err;
    }
  }
}

/**
 * Waits until nc is connected, but no longer than most. Otherwise a request could wait in
 * a buffer, which is thrown away when the connection comes back.
 */
export function connected(nc, most, signal) {
  const link = linkOf(nc);
  if (link.closed) return Promise.reject(connectionClosed());
  if (link.up) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const end = (err) => {
      clearTimeout(timer);
      off();
      signal?.removeEventListener("abort", abort);
      err ? reject(err) : resolve();
    };
    const abort = () => end(aborted("none", signal));
    const off = link.on((now) => now !== "down" && end(now === "closed" ? connectionClosed() : undefined));
    const timer = setTimeout(() => end(disconnected("none")), Math.max(most, 0));
    signal?.addEventListener("abort", abort);
  });
}

/** One try. It is over when the connection breaks, because then its answer cannot arrive. */
function attempt(nc, subject, body, timeout, signal) {
  return new Promise((resolve, reject) => {
    const link = linkOf(nc);
    const abort = () => end(reject, aborted("unknown", signal));
    const off = link.on((now) => now !== "up" && end(reject, now === "closed" ? connectionClosed("unknown") : disconnected("unknown")));
    const end = (settle, value) => {
      off();
      signal?.removeEventListener("abort", abort);
      settle(value);
    };
    signal?.addEventListener("abort", abort);
    nc.request(subject, JSON.stringify(body), { timeout }).then(read).then(
      (reply) => end(resolve, reply),
      (err) => end(reject, err instanceof RoomError ? err : failed(err, link.closed)),
    );
  });
}

/** The reply in an answer. The headers tell a refusal, even if its body is of a later version. */
function read(answer) {
  const code = answer.headers?.get("Nats-Service-Error");
  const number = Number(answer.headers?.get("Nats-Service-Error-Code"));
  if (!code && !number) return answer.json();
  let error;
  let now; // with REVISION_MISMATCH, the attributes and the room's position
  try {
    ({ error, ...now } = answer.json());
  } catch {
    // as if it had no body
  }
  throw new RoomError({ ...(error ?? { code, number, outcome: "unknown", message: "the service says no more than that" }), ...now });
}
