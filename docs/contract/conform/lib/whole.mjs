// What facts may leave out, as the contract says it in docs/contract/README.md.

const entry = (time, more) => ({ userName: "", joinedAt: time, ...more });
const usual = {
  "room.created": (time) => entry(time, { via: "enter" }),
  "member.joined": (time) => entry(time, { via: "enter" }),
  "session.joined": (time) => entry(time, { via: "enter" }),
  "member.left": (time) => entry(time, { leftAt: time, reason: "left" }),
  "session.left": (time) => entry(time, { leftAt: time, reason: "left" }),
};

/** An event with all that a fact may have left out. Messages and notices are as they are. */
export function whole(event) {
  const name = event.type.replace(/^io\.natsrooms\.|\.v\d+$/g, "");
  if (["message.sent", "message.deleted", "user.state.changed"].includes(name)) return event;
  const place = { roomID: event.subject, instanceID: event.roominstance };
  const data = { ...place, ...event.data };
  if (name in usual) data.memberList = (data.memberList ?? []).map((e) => ({ ...usual[name](event.time), ...e }));
  if (name === "room.created" || name === "room.destroyed") {
    const memberCount = data.memberList?.length ?? 0;
    data.room = { ...place, sequence: data.sequence, roomName: "", createdAt: event.time, createdBy: "", config: {}, attributes: {}, memberCount, ...data.room };
  }
  if (name === "room.attributes.changed") {
    data.set ??= {};
    data.delete ??= [];
    data.owners ??= Object.fromEntries(Object.keys(data.set).map((key) => [key, data.userID]));
  }
  if (name === "member.attributes.changed") data.deleteAfterOwnerLeft ??= true;
  if (name === "room.access.changed") Object.assign(data, { allowedUsers: [], userID: "", ...event.data });
  if (name === "room.updated") Object.assign(data, { roomName: "", userID: "", ...event.data });
  if (name === "member.updated") data.userID ??= "";
  return { ...event, data };
}
