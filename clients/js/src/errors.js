/**
 * Why a command failed, or a loop ended. code is one of the service's, or one of the
 * client's own: NO_SERVICE, NO_ANSWER, DISCONNECTED, ABORTED, CONNECTION_CLOSED. outcome says
 * whether the command may have had its effect all the same: "none" or "unknown".
 */
export class RoomError extends Error {
  name = "RoomError";

  constructor(error, options) {
    super(error.message, options);
    Object.assign(this, error); // code, outcome and, if they help, number, field, limit, actual, retryAfterMs, until, appCode
  }
}

export const noAnswer = (cause) => new RoomError({ code: "NO_ANSWER", outcome: "unknown", message: "no answer arrived in time" }, { cause });

export const disconnected = (outcome) => new RoomError({ code: "DISCONNECTED", outcome, message: "the connection to the server is broken" });

export const connectionClosed = (outcome = "none") => new RoomError({ code: "CONNECTION_CLOSED", outcome, message: "the connection is closed" });

export const aborted = (outcome, signal) => new RoomError({ code: "ABORTED", outcome, message: `given up: ${signal.reason?.message ?? signal.reason}` }, { cause: signal.reason });

const invalid = (message, cause, field) => new RoomError({ code: "PARAM_INVALID", number: 6000001, outcome: "none", message, ...(field && { field }) }, { cause });

export const badID = (field, cause) => invalid(`${field} is not valid Unicode`, cause, field);

/** What the NATS package rejected a request with, as a RoomError. Some errors are the causes of others. */
export function failed(err, isClosed) {
  for (let e = err; e; e = e.cause) {
    switch (e.name) {
      case "NoResponders": return new RoomError({ code: "NO_SERVICE", outcome: "none", message: "a NATS server is there, but no room service answers" }, { cause: err });
      case "PermissionViolationError": return new RoomError({ code: "NOT_ALLOWED", number: 7000001, outcome: "none", message: `the NATS server does not allow it: ${e.message}` }, { cause: err });
      case "ClosedConnectionError": case "DrainingConnectionError": return connectionClosed();
      case "InvalidArgumentError": return invalid(e.message, err); // longer than the server takes
    }
  }
  return isClosed ? connectionClosed("unknown") : noAnswer(err);
}
