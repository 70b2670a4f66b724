// The members of a room. Only those that are seen are in the document, so thousands stay quick.

import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import * as actions from "./actions.jsx";
import { show } from "./dialog.jsx";
import { count, exact, many, moment, span } from "./format.js";
import { useStore } from "./store.js";

const rowHeight = 40; // as --row in the style
const beyond = 8; // rows above and below what is seen

export function Members({ list, watch, past }) {
  const [filter, setFilter] = useState("");
  const [at, setAt] = useState(0);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(400);
  const box = useRef();
  const id = useId();
  const words = filter.trim().toLowerCase();
  const found = useMemo(
    () => (words ? list.filter((m) => m.userID.toLowerCase().includes(words) || m.userName.toLowerCase().includes(words)) : list),
    [list, words],
  );
  const active = Math.min(at, found.length - 1);
  useEffect(() => {
    const sizes = new ResizeObserver(([{ contentRect }]) => setHeight(contentRect.height));
    sizes.observe(box.current);
    return () => sizes.disconnect();
  }, []);
  const first = Math.max(0, Math.floor(top / rowHeight) - beyond);
  const last = Math.min(found.length, Math.ceil((top + height) / rowHeight) + beyond);
  const rows = found.slice(first, last).map((member, i) => ({ member, i: first + i }));
  const elsewhere = active >= 0 && (active < first || active >= last);
  if (elsewhere) rows.push({ member: found[active], i: active });

  const move = (to) => {
    const next = Math.max(0, Math.min(found.length - 1, to));
    setAt(next);
    const el = box.current;
    if (next * rowHeight < el.scrollTop) el.scrollTop = next * rowHeight;
    if ((next + 1) * rowHeight > el.scrollTop + el.clientHeight) el.scrollTop = (next + 1) * rowHeight - el.clientHeight;
  };
  const open = (member) => show((props) => <Member {...props} userID={member.userID} watch={watch} then={past && member} at={past?.at} />);
  const page = Math.max(1, Math.floor(height / rowHeight) - 1);
  const keys = {
    ArrowDown: () => move(active + 1), ArrowUp: () => move(active - 1), PageDown: () => move(active + page), PageUp: () => move(active - page),
    Home: () => move(0), End: () => move(found.length - 1), Enter: () => found[active] && open(found[active]), " ": () => found[active] && open(found[active]),
  };
  const press = (event) => {
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  };
  return (
    <>
      <div class="bar">
        <label class="field">
          <span>Find a member</span>
          <input type="search" value={filter} placeholder="ID or name" spellcheck={false}
            onInput={(event) => { setFilter(event.currentTarget.value); setAt(0); box.current.scrollTop = 0; }}
            onKeyDown={(event) => { if (["ArrowDown", "Enter"].includes(event.key)) { event.preventDefault(); box.current.focus(); } }} />
        </label>
        <span class="faint" role="status">{words ? `${count(found.length)} of ${count(list.length)}` : ""}</span>
      </div>
      <div class="members" ref={box} role="listbox" aria-label={past ? "Members then" : "Members"} tabIndex={0} aria-activedescendant={active >= 0 ? `${id}-${active}` : undefined}
        onKeyDown={press} onScroll={(event) => setTop(event.currentTarget.scrollTop)}>
        <div class="all" role="presentation" style={{ height: `${found.length * rowHeight}px` }}>
          {rows.map(({ member, i }) => (
            <Row key={member.userID} id={`${id}-${i}`} member={member} i={i} of={found.length} at={i === active} watch={past ? null : watch} now={past?.at ?? Date.now()}
              open={() => { setAt(i); box.current.focus(); open(member); }} />
          ))}
        </div>
      </div>
      {found.length === 0 && <p class="none">{list.length === 0 ? (past ? "Nobody was in." : "Nobody is in.") : "No member matches."}</p>}
    </>
  );
}

function Row({ id, member, i, of, at, watch, now, open }) {
  const devices = member.sessions.length;
  const lease = watch && newestLease(watch, member);
  return (
    <div id={id} class={`member ${at ? "at" : ""}`} role="option" aria-selected={at} aria-setsize={of} aria-posinset={i + 1}
      style={{ transform: `translateY(${i * rowHeight}px)` }} onClick={open}>
      <span class="name"><strong>{member.userID}</strong>{" "}{member.userName && member.userName !== member.userID && <small>{member.userName}</small>}</span>
      <span class="marks">
        {member.role === "host" && <span class="badge host">host</span>}
        {devices > 1 && <span class="badge">{devices} devices</span>}
        {lease?.over && <span class="badge warn">lease over</span>}
      </span>
      <span class="since" title={`since ${moment(member.joinedAt)}`}>{span(now - Date.parse(member.joinedAt))}</span>
    </div>
  );
}

function newestLease(watch, member) {
  return member.sessions.map((s) => watch.leaseOf(member.userID, s.sessionID)).filter(Boolean).sort((a, b) => (a.endsAt < b.endsAt ? 1 : -1))[0];
}

/** Everything about one member, and what can be done. then: as it was at a moment. */
function Member({ close, title, userID, watch, then, at }) {
  useStore(watch.version);
  const member = then ?? watch.roster?.get(userID);
  const roomID = watch.roomID;
  const muted = watch.details?.mutes?.find((r) => r.userID === userID);
  const act = async (does) => {
    if (await does) close();
  };
  return (
    <div class="in">
      <h2 id={title}>{userID}{then ? `, as of ${moment(at)}` : ""}</h2>
      {!member && <p role="status">{userID} is not in {roomID} any more.</p>}
      {member && (
        <>
          <dl class="pairs">
            {member.userName && <><dt>Name</dt><dd>{member.userName}</dd></>}
            <dt>Role</dt><dd>{member.role === "host" ? "host" : "member"}{muted && !then ? ", muted" : ""}</dd>
            <dt>In since</dt><dd>{moment(member.joinedAt)} <small>({span((then ? at : Date.now()) - Date.parse(member.joinedAt))})</small></dd>
            {member.userInfo && <><dt>Info</dt><dd><code>{JSON.stringify(member.userInfo)}</code></dd></>}
            {Object.entries(member.attributes).map(([key, value]) => <><dt key={key}>{key}</dt><dd>{value}</dd></>)}
          </dl>
          <h3>{many(member.sessions.length, "device")}</h3>
          <div class="scroll" tabIndex={0} role="region" aria-label="Devices">
            <table>
              <thead><tr><th scope="col">Session</th><th scope="col">Since</th><th scope="col">Lease</th>{!then && <th scope="col">Last sign of life</th>}</tr></thead>
              <tbody>
                {member.sessions.map((s) => <Device key={s.sessionID} session={s} lease={then ? undefined : watch.leaseOf(userID, s.sessionID)} then={then} readAt={watch.leasesAt} />)}
              </tbody>
            </table>
          </div>
        </>
      )}
      {!then && (
        <div class="buttons start">
          {member && <button onClick={() => act(actions.kick(roomID, userID))} class="bad">Kick…</button>}
          <button onClick={() => act(actions.ban(roomID, userID))} class="bad">Ban…</button>
          {muted ? <button onClick={() => act(actions.lift("unmute", roomID, userID))}>Unmute…</button> : <button onClick={() => act(actions.mute(roomID, userID))}>Mute…</button>}
          {member && <button onClick={() => act(actions.setRole(roomID, userID, member.role === "host" ? "member" : "host"))}>{member.role === "host" ? "Make a member…" : "Make a host…"}</button>}
          <button onClick={() => act(actions.block(userID))} class="bad">Block…</button>
        </div>
      )}
      <div class="buttons"><button onClick={() => close()} autofocus>Close</button></div>
    </div>
  );
}

function Device({ session: { sessionID, joinedAt, leaseSeconds }, lease, then, readAt }) {
  return (
    <tr>
      <th scope="row" class="id">{sessionID}</th>
      <td>{moment(joinedAt)}</td>
      <td>{lease ? <>{lease.leaseSeconds} s <small>until {exact(lease.endsAt)}</small></> : leaseSeconds ? `${leaseSeconds} s` : <span class="faint">none</span>}</td>
      {!then && <td>{lease ? `${span(readAt - Date.parse(lease.lastSignAt))} ago` : <span class="faint">not asked for</span>}</td>}
    </tr>
  );
}
