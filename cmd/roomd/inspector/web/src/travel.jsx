// Going back in time: a slider from the oldest fact that is kept to now.

import { useEffect, useRef, useState } from "preact/hooks";
import { many, moment } from "./format.js";
import { travel } from "./roomwatch.js";
import { useStore } from "./store.js";
import { colour, painted } from "./theme.js";

const spans = [[60_000, "a minute"], [600_000, "10 minutes"], [3_600_000, "an hour"], [86_400_000, "a day"], [604_800_000, "a week"]];

/** The room as it was at the moment that was chosen, or null for now. */
export function useTravel(roomID) {
  const [at, go] = useState(null);
  const [past, setPast] = useState(null);
  const [why, setWhy] = useState("");
  useEffect(() => {
    setWhy("");
    if (at === null) return setPast(null);
    const stop = new AbortController();
    // While the slider is dragged, only where it rests is asked for.
    const timer = setTimeout(() => {
      travel(roomID, at, stop.signal, (found) => stop.signal.aborted || setPast(found)).catch((err) => {
        if (stop.signal.aborted) return;
        setPast({ at, members: [], memberCount: 0, none: true, done: true, timeline: null });
        setWhy(err.code === "ROOM_NOT_EXIST" ? "There was no room of that name then, or what happened is no longer kept." : err.message);
      });
    }, 120);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [roomID, at]);
  return { at, go, past: at === null ? null : past, why };
}

export function Travel({ watch, at, go, past, why }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const begins = [...watch.instances, ...(watch.roster ? [watch.roster.room] : [])].map((room) => Date.parse(room.createdAt)).filter((t) => t > 0);
  const oldest = Math.min(now - 1000, ...(begins.length > 0 ? begins : [now - 60_000]));
  const [chosen, setSpan] = useState(0);
  const age = now - oldest;
  const offered = spans.filter(([ms], i) => i === 0 || ms < age);
  const spanMs = chosen || (age <= 600_000 ? age : 600_000);
  const from = Math.max(Math.min(now - spanMs, at ?? now), oldest);
  const value = at === null ? now : Math.max(from, Math.min(at, now));
  const drag = (event) => {
    const t = Number(event.currentTarget.value);
    go(t >= now - Math.max(20, spanMs / 2000) ? null : t);
  };
  // To the fact or message before, or after.
  const events = (past?.timeline ?? watch.timeline).entries;
  const step = (by) => {
    const here = at ?? now;
    const next = by < 0 ? events.findLast((entry) => entry.at < here) : events.find((entry) => entry.at > here);
    go(next?.at ?? (by < 0 ? at : null));
  };
  return (
    <section class={`card travel ${at === null ? "" : "then"}`} aria-label="Time">
      <div class="line">
        {at === null ? <strong>Now</strong> : <strong>{moment(at)}<small>.{String(new Date(at).getMilliseconds()).padStart(3, "0")}</small></strong>}
        <span role="status">
          {at !== null && (past && past.at === at ? (past.none ? why : `${many(past.memberCount, "member")} then${past.complete ? "" : "; the first facts of the room are no longer kept, so names may be missing"}`) : "Reading…")}
        </span>
        <span class="end">
          <button class="tiny" onClick={() => step(-1)}>◂ Event before</button>
          <button class="tiny" disabled={at === null} onClick={() => step(1)}>Event after ▸</button>
          <label>
            <span class="hear">How far the slider reaches</span>
            <select value={chosen} onChange={(event) => setSpan(Number(event.currentTarget.value))}>
              <option value={0}>{age <= 600_000 ? "all that is kept" : "10 minutes"}</option>
              {offered.filter(([ms]) => ms !== 600_000).map(([ms, name]) => <option key={ms} value={ms}>{name}</option>)}
              {age > 600_000 && <option value={age + 1e9}>all that is kept</option>}
            </select>
          </label>
          {at !== null && <button class="main" onClick={() => go(null)}>Back to now</button>}
        </span>
      </div>
      <Density entries={events} from={from} to={now} at={at} />
      <input type="range" aria-label="Moment" aria-valuetext={at === null ? "now" : `${moment(at)}`} min={Math.floor(from)} max={Math.floor(now)} step={Math.max(1, Math.round((now - from) / 1000))} value={value} onInput={drag} />
      <div class="ends" aria-hidden="true"><span>{moment(from)}</span><span>now</span></div>
    </section>
  );
}

/** How much happened when, of what is on the page. */
function Density({ entries, from, to, at }) {
  const canvas = useRef();
  const paint = useStore(painted);
  useEffect(() => {
    const el = canvas.current;
    const { clientWidth: width, clientHeight: height } = el;
    const scale = devicePixelRatio || 1;
    el.width = width * scale;
    el.height = height * scale;
    const bars = Math.max(1, Math.floor(width / 5));
    const facts = new Array(bars).fill(0), said = new Array(bars).fill(0);
    for (const entry of entries) {
      const bar = Math.floor(((entry.at - from) / (to - from)) * bars);
      if (bar >= 0 && bar < bars) (entry.said ? said : facts)[bar] += 1;
    }
    const context = el.getContext("2d");
    context.scale(scale, scale);
    context.clearRect(0, 0, width, height);
    const most = Math.max(1, ...facts.map((n, i) => n + said[i]));
    const tall = (n) => (n === 0 ? 0 : Math.max(2, (Math.sqrt(n) / Math.sqrt(most)) * height));
    const [one, two, line] = ["--accent", "--two", "--text"].map(colour);
    for (let i = 0; i < bars; i++) {
      const all = tall(facts[i] + said[i]);
      const part = facts[i] + said[i] > 0 ? (all * facts[i]) / (facts[i] + said[i]) : 0;
      context.fillStyle = two;
      context.fillRect(i * 5, height - all, 3, all - part);
      context.fillStyle = one;
      context.fillRect(i * 5, height - part, 3, part);
    }
    if (at !== null) {
      context.fillStyle = line;
      context.fillRect(((at - from) / (to - from)) * width - 0.75, 0, 1.5, height);
    }
  }, [entries, entries.length, from, to, at, paint]);
  return <canvas ref={canvas} aria-hidden="true" />;
}
