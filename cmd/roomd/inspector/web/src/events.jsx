// The timeline of a room: what happened and was said, the newest first.

import { useEffect, useRef, useState } from "preact/hooks";
import * as actions from "./actions.jsx";
import { command } from "./api.js";
import { CommandLine } from "./dialog.jsx";
import { clock, day, exact, many } from "./format.js";
import { say } from "./say.js";

const shown = 200;
const kinds = { all: () => true, said: (entry) => entry.said, facts: (entry) => !entry.said };

export function Events({ watch, past }) {
  const [kind, setKind] = useState("all");
  const [only, setOnly] = useState("");
  const [most, setMost] = useState(shown);
  const box = useRef();
  const timeline = past ? past.timeline : watch.timeline;
  const words = only.trim().toLowerCase();
  const entries = timeline?.entries ?? [];
  const found = words || kind !== "all" ? entries.filter((entry) => kinds[kind](entry) && (!words || text(entry).toLowerCase().includes(words))) : entries;
  const rows = found.slice(-most).reverse();
  // What somebody has scrolled to stays where it is while more comes in above it.
  const newest = useRef(null);
  useEffect(() => {
    const el = box.current;
    const before = newest.current;
    newest.current = rows[0]?.id;
    if (!past && el.scrollTop > 40 && before && before !== newest.current) {
      const row = [...el.children].findIndex((child) => child.dataset.id === before);
      if (row > 0) el.scrollTop += el.children[row].offsetTop - el.children[0].offsetTop;
    }
  });
  const then = useRef();
  useEffect(() => {
    if (past?.timeline) then.current?.scrollIntoView({ block: "nearest" });
  }, [past?.timeline, past?.at]);
  const marked = past && rows.find((entry) => entry.at <= past.at);
  return (
    <>
      <div class="bar">
        <label class="field">
          <span>Find in it</span>
          <input type="search" value={only} placeholder="a user, a word" spellcheck={false} onInput={(event) => setOnly(event.currentTarget.value)} />
        </label>
        <label class="field pick">
          <span>Show</span>
          <select value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
            <option value="all">everything</option>
            <option value="facts">what happened</option>
            <option value="said">what was said</option>
          </select>
        </label>
        {!past && <Pace watch={watch} />}
      </div>
      <ol class="events" ref={box} tabIndex={0} aria-label="Timeline, the newest first">
        {rows.map((entry) => (
          <Entry key={entry.id} entry={entry} gone={timeline.gone.has(entry.data.messageSeq)} later={past && entry.at > past.at}
            mark={entry === marked ? then : undefined} watch={watch} instanceID={past?.instanceID ?? watch.instanceID} />
        ))}
        {rows.length === 0 && <li class="none">{past && !past.timeline ? "Reading…" : words || kind !== "all" ? "Nothing of that." : "Nothing yet."}</li>}
        {!past && (found.length > most || watch.hasOlder) && (
          <li class="none">
            <button disabled={watch.older.busy} onClick={() => { setMost(most + shown); if (found.length <= most + shown) watch.readOlder(); }}>Earlier</button>{" "}
            <span class="refusal">{watch.older.why}</span>
          </li>
        )}
      </ol>
    </>
  );
}

const text = (entry) => (entry.said ? `${entry.data.senderUserID} ${entry.data.data}` : say(entry));

function Pace({ watch }) {
  const pace = watch.heard.length / 10;
  return <span class="faint">{pace === 0 ? "quiet" : pace < 1 ? `${watch.heard.length} in 10 s` : `${many(Math.round(pace), "event")} a second`}</span>;
}

function Entry({ entry, gone, later, mark, watch, instanceID }) {
  const [open, setOpen] = useState(false);
  const { data, said, at } = entry;
  return (
    <li ref={mark} data-id={entry.id} class={`event ${said ? "said" : ""} ${gone ? "gone" : ""} ${later ? "later" : ""}`}>
      <time datetime={new Date(at).toISOString()} title={`${day(at)} ${exact(at)}`}>{exact(at)}</time>
      <div class="what">
        {said ? <><strong>{data.senderUserID || "the server"}</strong> <Kind data={data} /> <q>{data.data}</q>{gone && <small> deleted</small>}</> : say(entry)}
        {open && <pre tabIndex={0} aria-label="As it is stored">{JSON.stringify(entry.event, null, 1)}</pre>}
      </div>
      <div class="marks">
        {said && data.messageSeq && !gone && (
          <button class="tiny" aria-label={`Delete the message of ${data.senderUserID || "the server"} at ${clock(at)}`} onClick={() => actions.deleteMessage(watch.roomID, instanceID, data)}>Delete</button>
        )}
        <button class="tiny" aria-expanded={open} aria-label={`${said ? `Message ${data.messageSeq ?? ""}` : `Fact ${data.sequence ?? ""}`} at ${clock(at)} as JSON`} onClick={() => setOpen(!open)}>{said ? data.messageSeq ?? "live" : data.sequence ?? "…"}</button>
      </div>
    </li>
  );
}

const Kind = ({ data }) => (data.type === "text" ? null : <span class="badge">{data.type}{data.subType ? ` ${data.subType}` : ""}</span>);

/** A box to try talk: as a member, or as the server. */
export function Say({ watch }) {
  const [user, setUser] = useState("");
  const [words, setWords] = useState("");
  const [why, setWhy] = useState("");
  const [sent, setSent] = useState("");
  const body = { roomID: watch.roomID, type: "text", data: words, ...(user && { userID: user }) };
  const submit = async (event) => {
    event.preventDefault();
    setWhy("");
    setSent("");
    try {
      const { messageSeq } = await command("send", body);
      setWords("");
      setSent(`Sent as message ${messageSeq}.`);
    } catch (err) {
      setWhy(err.message);
    }
  };
  return (
    <form class="say" onSubmit={submit}>
      <label class="field"><span>As the member</span><input value={user} placeholder="the server" spellcheck={false} onInput={(event) => setUser(event.currentTarget.value)} /></label>
      <label class="field"><span>Message</span><input value={words} required onInput={(event) => setWords(event.currentTarget.value)} /></label>
      <button class="main">Send</button>
      <p class="refusal" role="alert">{why}</p>
      <p class="hear" role="status">{sent}</p>
      {words && <div class="said"><CommandLine verb="send" body={body} /></div>}
    </form>
  );
}
