// The rooms that there are now.

import { useEffect, useRef, useState } from "preact/hooks";
import { create } from "./actions.jsx";
import { epoch, get } from "./api.js";
import { count, many, moment, rate, span } from "./format.js";
import { link, refine, route } from "./route.js";
import { useStore } from "./store.js";

const columns = [["name", "Room", "asc"], ["members", "Members", "desc"], ["rate", "A second", "desc"], ["age", "Age", "desc"]];
const each = 50;

/** Asks at once and again and again while the page is seen; a page that comes too late is not shown. */
function useRooms(params) {
  const [page, setPage] = useState(null);
  const [why, setWhy] = useState("");
  const again = useStore(epoch);
  const [asked, askNow] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    let timer;
    const ask = async () => {
      clearTimeout(timer);
      if (document.hidden) return;
      let wait = 2000;
      try {
        const next = await get("rooms", params, stop.signal);
        setPage({ ...next, of: params });
        setWhy("");
        wait = Math.max(next.againMs, 1000);
      } catch (err) {
        if (stop.signal.aborted) return;
        setWhy(err.message);
      }
      timer = setTimeout(ask, wait);
    };
    ask();
    document.addEventListener("visibilitychange", ask);
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", ask);
    };
  }, [JSON.stringify(params), again, asked]);
  return [page, why, () => askNow(asked + 1)];
}

export function RoomsPage() {
  const { query } = useStore(route);
  const text = query.get("q") ?? "";
  const how = query.get("how") === "prefix" ? "prefix" : "search";
  const sort = query.get("sort") ?? "members";
  const order = query.get("order") ?? columns.find(([id]) => id === sort)?.[2] ?? "desc";
  const [flags, setFlags] = useState([""]); // of the pages before, and of this one
  const [page, why, askNow] = useRooms({ [how]: text, sort, order, after: flags.at(-1), count: each });
  const search = useRef();
  const go = (changes) => {
    setFlags([""]);
    refine(link("rooms"), changes);
  };
  useEffect(() => {
    const key = (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
      event.preventDefault();
      search.current.focus();
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
  const by = (id, first) => go({ sort: id === "members" ? "" : id, order: id === sort ? (order === "asc" ? "desc" : "asc") : first });
  const began = (flags.length - 1) * each;
  return (
    <>
      <h1 class="hear">Rooms</h1>
      <section class="card" aria-label="Rooms">
        <form class="bar" role="search" onSubmit={(event) => event.preventDefault()}>
          <label class="field">
            <span>Search <span aria-hidden="true">( / )</span></span>
            <input ref={search} type="search" value={text} placeholder={how === "prefix" ? "the beginning of an ID" : "ID or name"} spellcheck={false} onInput={(event) => go({ q: event.currentTarget.value })} />
          </label>
          <label class="field pick">
            <span>Rooms</span>
            <select value={how} onChange={(event) => go({ how: event.currentTarget.value === "prefix" ? "prefix" : "" })}>
              <option value="search">that contain it</option>
              <option value="prefix">whose ID begins so</option>
            </select>
          </label>
          <button type="button" onClick={() => create().then((reply) => reply && askNow())}>Make a room…</button>
        </form>
        <p class="hear" role="status">{page && `${many(page.matched, "room")} found`}</p>
        {why && <p class="none refusal" role="alert">{why}</p>}
        {page && page.rooms.length > 0 && <Table page={page} sort={sort} order={order} by={by} />}
        {page && page.rooms.length === 0 && (
          <p class="none">
            {page.total === 0 ? <>There is no room yet. <code>roomctl enter lobby --as alice</code> makes one.</> : "No room matches."}
          </p>
        )}
        {page && (
          <nav class="pages" aria-label="Pages of the list">
            <span class="faint">
              {page.rooms.length > 0 && `${count(began + 1)}–${count(began + page.rooms.length)} of ${many(page.matched, "room")}`}
              {page.matched !== page.total && ` (${count(page.total)} in all)`} · {many(page.members, "member")}
            </span>
            <span class="end">
              <button disabled={flags.length === 1} onClick={() => setFlags([""])}>First</button>
              <button disabled={flags.length === 1} onClick={() => setFlags(flags.slice(0, -1))}>Previous</button>
              <button disabled={!page.nextFlag} onClick={() => page.nextFlag && setFlags([...flags, page.nextFlag])}>Next</button>
            </span>
          </nav>
        )}
      </section>
    </>
  );
}

function Table({ page, sort, order, by }) {
  const now = Date.parse(page.at);
  return (
    <table class="rooms">
      <caption class="hear">Rooms, {count(page.rooms.length)} of {count(page.matched)}</caption>
      <thead>
        <tr>
          {columns.map(([id, label, first]) => (
            <th key={id} scope="col" class={`${id === "name" ? "" : "n"} ${id === "age" ? "hide-narrow" : ""}`} aria-sort={id === sort ? (order === "asc" ? "ascending" : "descending") : undefined}>
              <button class="sort" onClick={() => by(id, first)}>{label}<span aria-hidden="true">{id === sort ? (order === "asc" ? " ↑" : " ↓") : ""}</span></button>
            </th>
          ))}
          <th scope="col" class="n hide-narrow">Last fact</th>
          <th scope="col" class="hide-narrow">Made by</th>
        </tr>
      </thead>
      <tbody>
        {page.rooms.map((room) => (
          <tr key={room.instanceID}>
            <th scope="row" class="id">
              <a href={link("rooms", room.roomID)}>{room.roomID}</a>
              {room.roomName && <span class="sub">{room.roomName}</span>}
              <Marks room={room} now={now} />
            </th>
            <td class="n">{count(room.members)}{room.maxMembers ? <small> of {count(room.maxMembers)}</small> : ""}</td>
            <td class="n">{page.rateSeconds >= 1 ? rate(room.rate) : <span class="faint">…</span>}</td>
            <td class="n hide-narrow" title={moment(room.createdAt)}>{span(now - Date.parse(room.createdAt))}</td>
            <td class="n hide-narrow" title={moment(room.lastFactAt)}>{span(now - Date.parse(room.lastFactAt))} ago</td>
            <td class="hide-narrow id">{room.createdBy || <span class="faint">a back end</span>}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Marks({ room, now }) {
  if (!room.destroyAt && !(room.access && room.access !== "open") && room.delivery !== "open") return null;
  return (
    <span class="sub">
      {room.access && room.access !== "open" && <span class="badge">{room.access}</span>}{" "}
      {room.delivery === "open" && <span class="badge">public</span>}{" "}
      {room.destroyAt && <span class="badge warn">empty, ends in {span(Date.parse(room.destroyAt) - now)}</span>}
    </span>
  );
}
