// What an operator can do, each with a dialog that says what it does.

import { webhooks } from "./api.js";
import { confirm } from "./dialog.jsx";

const reason = { name: "reason", label: "Reason; everybody in the room hears it" };
const duration = {
  name: "seconds", label: "For how long", value: "600",
  options: [["60", "1 minute"], ["600", "10 minutes"], ["3600", "1 hour"], ["86400", "24 hours"], ["604800", "7 days"], ["0", "As long as the room exists"]],
};
const given = (body) => Object.fromEntries(Object.entries(body).filter(([, value]) => value !== "" && value !== undefined));
const restriction = ({ seconds, ...rest }) => given({ ...rest, seconds: Number(seconds) || undefined });

// What a reply says of somebody for whom nothing could be done.
const served = ({ errorUserList: [refused] = [] }) => refused && (refused.code === "USER_NOT_IN_ROOM" ? `${refused.userID} is not in the room any more` : `${refused.userID}: ${refused.code}`);

export const kick = (roomID, userID) => confirm({
  verb: "kick", heading: `Kick ${userID}?`, danger: true, button: "Kick", done: served,
  text: `${userID} leaves ${roomID} at once, with all devices, and may come back.`,
  fields: [reason], body: (values) => given({ roomID, userIDs: [userID], reason: values.reason }),
});

export const ban = (roomID, userID) => confirm({
  verb: "ban", heading: `Ban ${userID} from ${roomID}?`, danger: true, button: "Ban",
  text: `${userID} is put out, and may not come in as an end user until the ban ends.`,
  fields: [duration, reason], body: (values) => restriction({ roomID, userIDs: [userID], ...values }),
});

export const mute = (roomID, userID) => confirm({
  verb: "mute", heading: `Mute ${userID} in ${roomID}?`, button: "Mute",
  text: `${userID} stays in the room, and may not send as an end user until the mute ends.`,
  fields: [duration, reason], body: (values) => restriction({ roomID, userIDs: [userID], ...values }),
});

export const lift = (verb, roomID, userID) => confirm({
  verb, heading: verb === "unban" ? `Let ${userID} into ${roomID} again?` : `Let ${userID} speak in ${roomID} again?`,
  button: verb === "unban" ? "Unban" : "Unmute", body: () => ({ roomID, userIDs: [userID] }),
});

export const setRole = (roomID, userID, role) => confirm({
  verb: "setRole", heading: role === "host" ? `Make ${userID} a host?` : `Make ${userID} a member like others?`, button: "Change the role", done: served,
  text: role === "host" ? `Hosts run ${roomID}: they kick, ban, mute and change its rules.` : undefined,
  body: () => ({ roomID, userIDs: [userID], role }),
});

export const destroy = (room) => confirm({
  verb: "destroy", heading: `Destroy ${room.roomID}?`, danger: true, button: "Destroy",
  text: `The room ends and everybody in it is put out (now ${room.memberCount}). It can't be undone; a new room of that name begins empty.`,
  fields: [reason], body: (values) => given({ roomID: room.roomID, reason: values.reason }),
});

const yes = [["true", "Yes"], ["false", "No"]];

export const update = (room) => {
  const { config } = room;
  const before = {
    roomName: room.roomName, roomDestroyDelayTime: String(config.roomDestroyDelayTime ?? 0), maxMembers: String(config.maxMembers ?? 0),
    historyForJoiners: String(config.historyForJoiners ?? true), attributes: config.attributes ?? "open", speakers: config.speakers ?? "all", hosts: config.hosts ?? "none",
  };
  const types = { roomDestroyDelayTime: Number, maxMembers: Number, historyForJoiners: (text) => text === "true" };
  return confirm({
    verb: "update", heading: `Change ${room.roomID}`, button: "Change",
    fields: [
      { name: "roomName", label: "Name", value: before.roomName },
      { name: "maxMembers", label: "Members that it may have; 0: any number", type: "number", min: 0, value: before.maxMembers },
      { name: "roomDestroyDelayTime", label: "Seconds that it outlives its last member", type: "number", min: 0, value: before.roomDestroyDelayTime },
      { name: "historyForJoiners", label: "Who joins may read what was said before", options: yes, value: before.historyForJoiners },
      { name: "speakers", label: "Who may send as an end user", options: [["all", "All"], ["hosts", "Hosts"]], value: before.speakers },
      { name: "attributes", label: "Who may change attributes of others", options: [["open", "Everybody, by force"], ["owned", "Hosts"]], value: before.attributes },
      { name: "hosts", label: "Who is a host from the start", options: [["none", "Nobody"], ["creator", "Its creator"]], value: before.hosts },
    ],
    body: ({ roomName, ...values }) => {
      const config = Object.fromEntries(Object.entries(values).filter(([name, value]) => value !== before[name]).map(([name, value]) => [name, types[name]?.(value) ?? value]));
      return { roomID: room.roomID, ...(roomName !== before.roomName && { roomName }), ...(Object.keys(config).length > 0 && { config }) };
    },
  });
};

const names = (text) => text.split(/[\s]+/).filter(Boolean);

export const setAccess = (room) => confirm({
  verb: "setAccess", heading: `Who may join ${room.roomID}`, button: "Change",
  text: "It holds for end users who come from now on. Members stay.",
  fields: [
    { name: "access", label: "Who may join as an end user", options: [["", `As now (${room.config.access ?? "open"})`], ["open", "Everybody"], ["listed", "The users on the list"], ["token", "Users with a token that names the room"]] },
    { name: "allow", label: "Users to put on the list, with a space between" },
    { name: "disallow", label: "Users to take off the list" },
  ],
  body: ({ access, allow, disallow }) => ({
    roomID: room.roomID, ...(access && { access }), ...(names(allow).length > 0 && { allow: names(allow) }), ...(names(disallow).length > 0 && { disallow: names(disallow) }),
  }),
});

export const setAttribute = (roomID, key, value) => confirm({
  verb: "setAttributes", heading: key ? `Change ${key}` : "Set an attribute", button: "Set",
  text: "It is set as the server, whoever owns it.",
  fields: [...(key ? [] : [{ name: "key", label: "Key", required: true }]), { name: "value", label: "Value", long: true, value: value ?? "" }],
  body: (values) => ({ roomID, set: { [key ?? values.key]: values.value }, isForce: true }),
});

export const deleteAttribute = (roomID, key) => confirm({
  verb: "setAttributes", heading: `Delete ${key}?`, danger: true, button: "Delete", body: () => ({ roomID, delete: [key], isForce: true }),
});

export const deleteMessage = (roomID, instanceID, message) => confirm({
  verb: "deleteMessages", heading: "Delete this message?", danger: true, button: "Delete",
  text: `Nobody can read it any more: “${message.data.slice(0, 140)}”`,
  body: () => ({ roomID, instanceID, messageSeqs: [message.messageSeq] }),
});

export const block = (userID = "") => confirm({
  verb: "block", heading: userID ? `Block ${userID}?` : "Block a user", danger: true, button: "Block",
  text: "The user is out of all rooms, its connections end, and everything is refused to it as an end user.",
  fields: [
    ...(userID ? [] : [{ name: "userID", label: "User", required: true }]),
    { ...duration, value: "86400", options: [...duration.options.slice(0, -1), ["0", "Until somebody unblocks the user"]] },
    { name: "reason", label: "Reason; the user and its rooms are told" },
  ],
  body: (values) => restriction({ userID, ...values }),
});

export const unblock = (barred) => confirm({
  verb: "unblock", heading: `Let ${barred.userID} in again?`, button: "Unblock",
  fields: barred.tokens || barred.issuedBefore ? [{ name: "tokens", label: "Tokens that were refused", options: [["", "Stay refused"], ["yes", "Are good again too"]] }] : [],
  body: (values) => ({ userID: barred.userID, ...(values.tokens && { tokens: true }) }),
});

const letters = ({ done }) => !done && "They are not there any more.";

/** ids of dead letters; none: all of the webhook's. */
const these = (webhook, ids) => () => ({ webhook, ...(ids ? { ids } : { all: true }) });

export const replay = (webhook, ids) => confirm({
  verb: "replay", give: webhooks, button: "Deliver", done: letters,
  heading: `Deliver ${ids ? ids.join(", ") : "all dead letters"} of ${webhook} once more?`,
  text: "Each is tried once, in no order. One that fails again stays here, with the new reason.",
  body: these(webhook, ids),
});

export const drop = (webhook, ids) => confirm({
  verb: "drop", give: webhooks, danger: true, button: "Drop", done: letters,
  heading: `Drop ${ids ? ids.join(", ") : "all dead letters"} of ${webhook}?`,
  text: `${ids ? "It is" : "They are"} never delivered then. What happened stays in the room's history.`,
  body: these(webhook, ids),
});

export const create = () => confirm({
  verb: "create", heading: "Make a room", button: "Make it",
  text: "Without a user it begins empty, and waits five minutes for its first member.",
  fields: [{ name: "roomID", label: "Room ID", required: true }, { name: "roomName", label: "Name" }, { name: "userID", label: "User who is in it from the start" }],
  body: given,
});
