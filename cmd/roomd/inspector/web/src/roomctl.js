// The command line that does the same as a command.

/** A word as a POSIX shell reads it. */
export const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

// A word that begins with a dash would be taken for a flag.
const plain = (words) => (words.some((word) => word.startsWith("-")) ? ["--", ...words] : words);

function duration(s) {
  if (s % 3600 === 0) return `${s / 3600}h`;
  return s % 60 === 0 ? `${s / 60}m` : `${s}s`;
}

const flag = (name, value) => (value === undefined || value === "" ? [] : [`${name}=${value}`]);
const truth = (name, value) => (value === undefined ? [] : [value ? name : name.replace("--", "--no-")]);
const each = (name, values = []) => values.flatMap((value) => flag(name, value));
// A comma divides users in these two flags.
const users = (name, values = []) => each(name, values.map((value) => value.replaceAll(",", "\\,")));
const reason = (q) => flag("--reason", q.reason);
const during = (q) => (q.seconds ? flag("--for", duration(q.seconds)) : []);

const restricts = (verb) => (q) => [[verb, ...during(q), ...reason(q)], [q.roomID, ...q.userIDs]];
const lifts = (verb) => (q) => [[verb], [q.roomID, ...q.userIDs]];

// By verb: the command with its flags, and its arguments.
const lines = {
  kick: (q) => [["kick", ...reason(q)], [q.roomID, ...q.userIDs]],
  ban: restricts("ban"),
  mute: restricts("mute"),
  unban: lifts("unban"),
  unmute: lifts("unmute"),
  destroy: (q) => [["destroy", ...reason(q)], [q.roomID]],
  setRole: (q) => [["set-role"], [q.roomID, q.role, ...q.userIDs]],
  setAccess: (q) => [["access", ...flag("--access", q.access), ...users("--allow", q.allow), ...users("--disallow", q.disallow)], [q.roomID]],
  update: ({ roomID, roomName, config = {} }) => [[
    "update",
    ...(roomName === undefined ? [] : [`--name=${roomName}`]),
    ...flag("--destroy-delay", config.roomDestroyDelayTime),
    ...flag("--max-members", config.maxMembers),
    ...truth("--history-for-joiners", config.historyForJoiners),
    ...flag("--attributes", config.attributes),
    ...flag("--speakers", config.speakers),
    ...flag("--hosts", config.hosts),
  ], [roomID]],
  setAttributes: (q) => [
    ["set", ...each("--delete", q.delete), ...(q.isForce ? ["--force"] : [])],
    [q.roomID, ...Object.entries(q.set ?? {}).map(([key, value]) => `${key}=${value}`)],
  ],
  deleteMessages: (q) => [["delete", ...flag("--instance", q.instanceID)], [q.roomID, ...(q.messageSeqs ?? []).map(String)]],
  send: (q) => [["send", ...flag("--type", q.type === "text" ? "" : q.type), ...flag("--as", q.userID)], [q.roomID, q.data]],
  block: (q) => [["block", ...during(q), ...reason(q), ...flag("--token-id", q.tokenID)], [q.userID]],
  unblock: (q) => [["unblock", ...(q.tokens ? ["--tokens"] : [])], [q.userID]],
  create: (q) => [["create", ...flag("--name", q.roomName), ...flag("--as", q.userID)], [q.roomID]],
  enter: (q) => [["enter", ...flag("--as", q.userID)], [q.roomID]],
  replay: (q) => [["webhooks", "replay", ...(q.all ? ["--all"] : [])], [q.webhook, ...(q.ids ?? [])]],
  drop: (q) => [["webhooks", "drop", ...(q.all ? ["--all"] : [])], [q.webhook, ...(q.ids ?? [])]],
  leave: (q) => [["leave", ...flag("--as", q.userID)], [q.roomID]],
};

/** The line for a command. */
export function line(verb, body) {
  const [command, args] = lines[verb](body);
  return ["roomctl", ...command, ...plain(args.map((arg) => arg ?? ""))].map(quoted).join(" "); // what has not been typed yet is empty
}
