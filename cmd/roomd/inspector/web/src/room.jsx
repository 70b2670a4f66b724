// One room: who is in, what it has, what happens, and what happened before.

import { useEffect, useState } from "preact/hooks";
import * as actions from "./actions.jsx";
import { Events, Say } from "./events.jsx";
import { count, many, moment, span } from "./format.js";
import { Members } from "./members.jsx";
import { lastMoment, RoomWatch } from "./roomwatch.js";
import { useStore } from "./store.js";
import { Travel, useTravel } from "./travel.jsx";

export function RoomPage({ roomID }) {
  const [watch, setWatch] = useState(null);
  useEffect(() => {
    const next = new RoomWatch(roomID);
    setWatch(next);
    return () => next.close();
  }, [roomID]);
  return watch && <Room watch={watch} />;
}

function Room({ watch }) {
  useStore(watch.version);
  const time = useTravel(watch.roomID);
  const { roster, state, instances } = watch;
  const past = time.past;
  if (state === "reading") {
    return (
      <>
        <h1>{watch.roomID}</h1>
        {watch.why ? <p class="refusal" role="alert">{watch.why}</p> : <p role="status" class="faint">Reading the room…</p>}
      </>
    );
  }
  if (!roster && instances.length === 0) {
    return (
      <>
        <h1>{watch.roomID}</h1>
        <p>There is no such room, and nothing of an earlier one is kept. If it is made, it appears here.</p>
      </>
    );
  }
  return (
    <div class="room">
      <div class="wide"><Head watch={watch} /></div>
      <div class="wide"><Travel watch={watch} {...time} /></div>
      <div class="column">
        <section class="card" aria-label="Members">
          <header>
            <h2>{past ? "Who was in" : "Members"}</h2>
            <span class="faint">{past ? (past.none ? "" : count(past.memberCount)) : roster && state === "live" ? count(roster.size) : "0"}{past && !past.done ? ", reading…" : ""}</span>
          </header>
          <Members list={past ? past.members : roster && state === "live" ? roster.members() : []} watch={watch} past={past} />
        </section>
        <Attributes watch={watch} past={past} />
        <Access watch={watch} past={past} />
        <Instances watch={watch} go={time.go} at={time.at} />
      </div>
      <div class="column">
        <section class="card" aria-label="Timeline">
          <header><h2>Timeline</h2><span class="faint">{past ? `around ${moment(past.at)}` : "live, the newest first"}</span></header>
          <Events watch={watch} past={past} />
          {!past && state === "live" && <Say watch={watch} />}
        </section>
      </div>
    </div>
  );
}

function Head({ watch }) {
  const { roster, state, instances } = watch;
  const room = roster?.room;
  const ended = state === "absent" && (instances.find((i) => i.instanceID === room?.instanceID) ?? instances[0]);
  return (
    <div class="head">
      <div class="who">
        <h1>{watch.roomID}{room?.roomName && <span class="faint"> {room.roomName}</span>}</h1>
        {state === "absent" && (
          <p role="status"><span class="badge warn">ended</span> {ended?.endedAt ? `This room ended at ${moment(ended.endedAt)}, ${ended.reason === "empty" ? "because it was empty" : "because somebody asked for it"}.` : "There is no room of this name now."}</p>
        )}
        {room && state === "live" && (
          <dl class="facts">
            <div><dt>Members</dt><dd>{count(room.memberCount)}{room.config.maxMembers ? ` of ${count(room.config.maxMembers)}` : ""}</dd></div>
            <div><dt>Made</dt><dd>{span(Date.now() - Date.parse(room.createdAt))} ago{room.createdBy ? ` by ${room.createdBy}` : ""}</dd></div>
            <div><dt>Sequence</dt><dd>{count(room.sequence)}</dd></div>
            <div><dt>Join</dt><dd>{room.config.access ?? "open"}</dd></div>
            <div><dt>Heard by</dt><dd>{room.config.delivery === "open" ? "everybody" : "members"}</dd></div>
            <div><dt>Speak</dt><dd>{room.config.speakers ?? "all"}</dd></div>
            {room.destroyAt && <div><dt>Empty, ends</dt><dd>{moment(room.destroyAt)}</dd></div>}
          </dl>
        )}
      </div>
      {room && state === "live" && (
        <div class="buttons" role="group" aria-label="The room">
          <button onClick={() => actions.update(room)}>Change…</button>
          <button onClick={() => actions.setAccess(room)}>Who may join…</button>
          <button class="bad" onClick={() => actions.destroy(room)}>Destroy…</button>
        </div>
      )}
    </div>
  );
}

function Attributes({ watch: { roster, state, details, roomID }, past }) {
  if (!roster || state !== "live") return null;
  const { attributes, revision } = roster.room;
  const keys = Object.keys(attributes).sort();
  return (
    <section class="card" aria-label="Attributes">
      <header>
        <h2>{past ? "Attributes now" : "Attributes"}</h2>
        <span class="faint">{keys.length === 0 ? "none" : `${count(keys.length)}, as of revision ${count(revision)}`}</span>
        <span class="end"><button class="tiny" onClick={() => actions.setAttribute(roomID)}>Set…</button></span>
      </header>
      {keys.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Attributes of the room">
          <table>
            <thead><tr><th scope="col">Key</th><th scope="col">Value</th><th scope="col">Owner</th><th scope="col"><span class="hear">Change</span></th></tr></thead>
            <tbody>
              {keys.map((key) => (
                <tr key={key}>
                  <th scope="row" class="id">{key}</th>
                  <td class="id">{attributes[key]}</td>
                  <td class="id">{details?.owners?.[key] ?? <span class="faint">nobody</span>}</td>
                  <td class="n">
                    <button class="tiny" aria-label={`Change ${key}`} onClick={() => actions.setAttribute(roomID, key, attributes[key])}>Change</button>{" "}
                    <button class="tiny" aria-label={`Delete ${key}`} onClick={() => actions.deleteAttribute(roomID, key)}>Delete</button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Access({ watch: { roster, state, details, roomID }, past }) {
  if (!roster || state !== "live") return null;
  const { config } = roster.room;
  const rows = [
    ...(details?.bans ?? []).map((r) => ({ ...r, what: "banned", lift: "unban" })),
    ...(details?.mutes ?? []).map((r) => ({ ...r, what: "muted", lift: "unmute" })),
  ];
  return (
    <section class="card" aria-label="Access">
      <header>
        <h2>{past ? "Access now" : "Access"}</h2>
        <span class="faint">{config.access ?? "open"}; {rows.length === 0 ? "nobody is banned or muted" : `${count((details.bans ?? []).length)} banned, ${count((details.mutes ?? []).length)} muted${details.more ? ", and more" : ""}`}</span>
      </header>
      {config.allowedUsers?.length > 0 && <p class="body"><span class="faint">{many(config.allowedUsers.length, "user")} on the list:</span> {config.allowedUsers.join(", ")}</p>}
      {rows.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Bans and mutes">
          <table>
            <thead><tr><th scope="col">User</th><th scope="col">What</th><th scope="col">Until</th><th scope="col" class="hide-narrow">Reason</th><th scope="col"><span class="hear">Change</span></th></tr></thead>
            <tbody>
              {rows.map((r) => (
                <tr key={`${r.what} ${r.userID}`}>
                  <th scope="row" class="id">{r.userID}</th>
                  <td><span class={`badge ${r.what === "banned" ? "bad" : "warn"}`}>{r.what}</span></td>
                  <td>{r.until ? moment(r.until) : "the room ends"}</td>
                  <td class="hide-narrow id">{r.reason}</td>
                  <td class="n"><button class="tiny" aria-label={`${r.lift === "unban" ? "Unban" : "Unmute"} ${r.userID}`} onClick={() => actions.lift(r.lift, roomID, r.userID)}>{r.lift === "unban" ? "Unban…" : "Unmute…"}</button></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Instances({ watch: { roomID, instances, instanceID, state }, go, at }) {
  const [why, setWhy] = useState("");
  if (instances.length < 2 && state === "live") return null;
  return (
    <section class="card" aria-label="Rooms of this name">
      <header><h2>Rooms of this name</h2><span class="faint">one after the other, as far as facts are kept</span></header>
      {why && <p class="body refusal" role="alert">{why}</p>}
      <div class="scroll" tabIndex={0} role="region" aria-label="Rooms of this name, the newest first">
        <table>
          <thead><tr><th scope="col">From</th><th scope="col">To</th><th scope="col">Why it ended</th><th scope="col" class="n">Facts</th><th scope="col"><span class="hear">Look</span></th></tr></thead>
          <tbody>
            {instances.map((i) => {
              const now = i.instanceID === instanceID && !i.endedAt;
              return (
                <tr key={i.instanceID}>
                  <th scope="row">{moment(i.createdAt)}{i.roomName && <span class="sub">{i.roomName}</span>}</th>
                  <td>{i.endedAt ? moment(i.endedAt) : "now"}</td>
                  <td>{i.reason === "empty" ? "it was empty" : i.reason === "requested" ? "on request" : ""}</td>
                  <td class="n">{count(i.sequence)}</td>
                  <td class="n">
                    {now ? <button class="tiny" disabled={at === null} onClick={() => go(null)}>Now</button>
                      : <button class="tiny" aria-label={`Look at the room that ended at ${moment(i.endedAt ?? i.createdAt)}`} onClick={() => lastMoment(roomID, i).then(go, (err) => setWhy(err.message))}>Look</button>}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}
