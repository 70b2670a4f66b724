// How the service is, of the instance that serves this page.

import { useEffect, useState } from "preact/hooks";
import { follow, get } from "./api.js";
import { bytes, count, many, moment, rate, seconds, span } from "./format.js";
import { Plot } from "./plot.jsx";
import { Store, useStore } from "./store.js";
import { Webhooks } from "./webhooks.jsx";

const most = 300; // samples: ten minutes
const samples = new Store([]); // kept while another page is looked at

export function ServicePage() {
  const list = useStore(samples);
  const [why, setWhy] = useState("");
  useEffect(() => follow("service", {}, ["sample"], (_, sample) => {
    samples.value = [...samples.value, sample].slice(-most);
    setWhy("");
  }, () => setWhy("roomd does not give its figures; the page goes on asking")), []);
  const now = list.at(-1);
  if (!now) {
    return (
      <>
        <h1>Service</h1>
        <p role="status" class="faint">{why || "Waiting for the first figures…"}</p>
      </>
    );
  }
  return (
    <>
      <h1 class="hear">Service</h1>
      {why && <p class="refusal" role="alert">{why}</p>}
      <Ready now={now} />
      <Plots list={list} now={now} />
      <Webhooks now={now} />
      <div class="side">
        <Streams now={now} />
        <Limited now={now} />
      </div>
      <Verbs now={now} />
    </>
  );
}

const short = (id) => id.slice(-8);

function Ready({ now }) {
  return (
    <section class="card" aria-label="Readiness">
      <div class="ready">
        <span class={`big ${now.ready ? "" : "not"}`} role="status">{now.ready ? "Ready" : "Not ready"}</span>
        <dl class="facts">
          <div><dt>Instance</dt><dd title={now.instance}>{short(now.instance)}</dd></div>
          <div><dt>Leads</dt><dd>{now.leads ? "this instance" : now.leader ? short(now.leader) : "not known"}</dd></div>
          <div><dt>Rooms</dt><dd>{count(now.rooms)}</dd></div>
          <div><dt>Members</dt><dd>{count(now.members)}</dd></div>
          <div><dt>In flight</dt><dd>{count(now.inFlight)}</dd></div>
          <div><dt>Version</dt><dd>{now.version}</dd></div>
          {now.connections.map((c) => <div key={c.use}><dt>NATS, {c.use}</dt><dd>{c.connected ? "connected" : <span class="badge bad">away</span>}</dd></div>)}
        </dl>
      </div>
      {now.reasons.map((reason) => <Problem key={reason.name} reason={reason} />)}
    </section>
  );
}

let runbook; // the same while roomd runs

function Problem({ reason: { name, text, unfit, since, anchor } }) {
  const [section, setSection] = useState(null);
  const [why, setWhy] = useState("");
  const open = async (event) => {
    if (!event.currentTarget.open || section) return;
    try {
      runbook ??= await get("runbook");
      setSection(runbook[anchor] ?? { title: "The manual has nothing about it.", markdown: "" });
    } catch (err) {
      setWhy(err.message);
    }
  };
  return (
    <div class={`problem ${unfit ? "unfit" : ""}`}>
      <div><span class={`badge ${unfit ? "bad" : "warn"}`}>{name}</span> {text} <small>since {moment(since)}</small></div>
      {anchor && (
        <details onToggle={open}>
          <summary>What it means, and what to do</summary>
          <div>{section && <><h2>{section.title}</h2><Prose markdown={section.markdown} /></>}<span class="refusal">{why}</span></div>
        </details>
      )}
    </div>
  );
}

/** The little of Markdown that the manual uses: paragraphs, lists, code and links, of which the text is left. */
function Prose({ markdown }) {
  const inline = (text) => text.replace(/\[([^\]]+)\]\([^)]*\)/g, "$1").split(/(`[^`]+`)/).map((part, i) => (part.startsWith("`") ? <code key={i}>{part.slice(1, -1)}</code> : part));
  return markdown.trim().split(/\n(?=- )|\n\n+/).map((part, i) => <p key={i}>{inline(part.replace(/^- /, "").replaceAll("\n", " "))}</p>);
}

const total = (by) => Object.values(by).reduce((sum, n) => sum + n, 0);

function Plots({ list, now }) {
  const times = list.map((s) => Date.parse(s.at) / 1000);
  const of = (pick) => list.map((s) => (s.seconds > 0 ? pick(s) : null)); // rates: the first sample has none
  const is = (pick) => list.map(pick);
  const one = (label, values) => ({ label, values });
  const ms = (n) => seconds(n / 1000);
  const verbs = Object.entries(list.reduce((sum, s) => {
    for (const [verb, { perSecond }] of Object.entries(s.commands)) sum[verb] = (sum[verb] ?? 0) + perSecond;
    return sum;
  }, {})).sort((a, b) => b[1] - a[1]).map(([verb]) => verb);
  const main = verbs.slice(0, 5);
  const rest = verbs.slice(5);
  const plots = [
    ["Commands a second", rate(now.all.perSecond), rate, [
      ...main.map((verb) => one(verb, of((s) => s.commands[verb]?.perSecond ?? 0))),
      ...(rest.length > 0 ? [one("others", of((s) => rest.reduce((sum, verb) => sum + (s.commands[verb]?.perSecond ?? 0), 0)))] : []),
      ...(verbs.length === 0 ? [one("all", of((s) => s.all.perSecond))] : []),
    ]],
    ["Answered in", now.all.p99Ms ? `${ms(now.all.p50Ms)} / ${ms(now.all.p99Ms)}` : "–", ms, [one("half of them", of((s) => s.all.p50Ms || null)), one("99 of 100", of((s) => s.all.p99Ms || null))]],
    ["Facts, messages a second", rate(now.commit.factsPerSecond + now.talk.storedPerSecond + now.talk.livePerSecond), rate, [
      one("facts", of((s) => s.commit.factsPerSecond)), one("messages stored", of((s) => s.talk.storedPerSecond)), one("live only", of((s) => s.talk.livePerSecond)),
    ]],
    ["Commands stored together", now.commit.batch ? now.commit.batch.toFixed(1) : "–", (n) => n.toFixed(n < 10 ? 1 : 0), [one("commands", of((s) => s.commit.batch || null))]],
    ["Stored in", now.commit.p99Ms ? `${ms(now.commit.p50Ms)} / ${ms(now.commit.p99Ms)}` : "–", ms, [one("half of them", of((s) => s.commit.p50Ms || null)), one("99 of 100", of((s) => s.commit.p99Ms || null))]],
    ["Conflicts and retries a second", rate(now.commit.conflictsPerSecond + now.commit.retriesPerSecond), rate, [one("conflicts", of((s) => s.commit.conflictsPerSecond)), one("retries", of((s) => s.commit.retriesPerSecond))]],
    ["Behind", count(now.lag.journal + now.lag.projection + now.lag.feeds), rate, [one("journal", is((s) => s.lag.journal)), one("bucket", is((s) => s.lag.projection)), one("feeds", is((s) => s.lag.feeds))]],
    ["Copies for end users a second", rate(now.copies.perSecond), rate, [one("copies", of((s) => s.copies.perSecond)), one("dropped", of((s) => s.copies.droppedPerSecond))]],
    ["Limits hit a second", rate(now.limits.commandsPerSecond + now.limits.waitingPerSecond + now.limits.changesPerSecond), rate, [
      one("commands", of((s) => s.limits.commandsPerSecond)), one("waiting", of((s) => s.limits.waitingPerSecond)), one("changes", of((s) => s.limits.changesPerSecond)), one("not answered", of((s) => s.limits.droppedPerSecond)),
    ]],
    ["Refused a second", rate(total(now.refused)), rate, [one("busy or without an outcome", of((s) => (s.refused.BUSY ?? 0) + (s.refused.UNAVAILABLE ?? 0))), one("all", of((s) => total(s.refused)))]],
    ["In flight", count(now.inFlight), rate, [one("commands", is((s) => s.inFlight))]],
    ["Memory", bytes(now.memory.bytes), bytes, [one("from the system", is((s) => s.memory.bytes)), one("in use", is((s) => s.memory.heapBytes))]],
    ...(now.hooks ?? []).map((hook) => {
      const find = (s) => s.hooks?.find((h) => h.verb === hook.verb);
      return [`Questions about ${hook.verb} a second`, rate(hook.perSecond), rate, [one("asked", of((s) => find(s)?.perSecond ?? 0)), one("without use", of((s) => find(s)?.noUsePerSecond ?? 0))]];
    }),
    ...(now.webhooks ?? []).filter((hook) => hook.state !== "elsewhere").map(({ name, deliveredPerSecond }) => {
      const find = (s) => s.webhooks?.find((h) => h.name === name);
      return [`Webhook ${name} a second`, rate(deliveredPerSecond), rate, [one("delivered", of((s) => find(s)?.deliveredPerSecond ?? 0)), one("failed", of((s) => find(s)?.failedPerSecond ?? 0))]];
    }),
  ];
  return (
    <div class="plots">
      {plots.map(([title, value, format, series]) => <Plot key={title} title={title} now={value} times={times} series={series} format={format} />)}
    </div>
  );
}

const percent = (full) => `${(full * 100).toFixed(full < 0.1 ? 1 : 0)}%`;

function Streams({ now }) {
  return (
    <section class="card" aria-label="Streams">
      <header>
        <h2>Streams</h2>
        {now.store && <span class="faint">{bytes(now.store.usedBytes)} stored, {bytes(now.store.freeBytes)} free ({percent(now.store.full)} full)</span>}
      </header>
      <div class="scroll" tabIndex={0} role="region" aria-label="What the streams hold">
        <table>
          <thead><tr><th scope="col">Stream</th><th scope="col" class="n">Messages</th><th scope="col" class="n">Size</th><th scope="col" class="n hide-narrow">Limit</th><th scope="col">Full</th></tr></thead>
          <tbody>
            {now.streams.map((s) => (
              <tr key={s.name}>
                <th scope="row" class="mono">{s.name}</th>
                <td class="n">{count(s.messages)}</td>
                <td class="n">{bytes(s.bytes)}</td>
                <td class="n hide-narrow">{s.maxBytes ? bytes(s.maxBytes) : <span class="faint">the store's</span>}</td>
                <td><meter min={0} max={1} low={0.7} high={0.9} optimum={0} value={s.full} aria-label={`${s.name} is ${percent(s.full)} full`} /><span class="sub">{percent(s.full)}</span></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Limited({ now: { limits, refused, failed } }) {
  const codes = Object.entries(refused).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
  const failures = Object.entries(failed).filter(([, n]) => n > 0);
  return (
    <section class="card" aria-label="Refused">
      <header><h2>Refused</h2><span class="faint">{limits.cutOffTotal > 0 ? `users were cut off ${many(limits.cutOffTotal, "time")}` : "nobody was cut off"}</span></header>
      {codes.length === 0 && failures.length === 0 && limits.users.length === 0 && <p class="none">Nothing was refused lately.</p>}
      {(codes.length > 0 || failures.length > 0) && (
        <dl class="pairs">
          {codes.map(([code, n]) => <><dt class="mono">{code}</dt><dd>{rate(n)} a second</dd></>)}
          {failures.map(([what, n]) => <><dt>JetStream, {what}</dt><dd>{rate(n)} failed a second</dd></>)}
        </dl>
      )}
      {limits.users.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Who reached a limit">
          <table>
            <caption class="hear">Who reached a limit lately</caption>
            <thead><tr><th scope="col">User</th><th scope="col" class="n">Refused</th><th scope="col">Cut off</th></tr></thead>
            <tbody>
              {limits.users.map((u) => (
                <tr key={u.userID}>
                  <th scope="row" class="id">{u.userID}</th>
                  <td class="n">{count(u.refused)}</td>
                  <td>{u.cutOff ? <span class="badge bad">{u.cutOffUntil ? `for ${span(Date.parse(u.cutOffUntil) - Date.now())}` : "now"}</span> : ""}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Verbs({ now }) {
  const verbs = Object.entries(now.commands).filter(([, v]) => v.perSecond > 0).sort((a, b) => b[1].perSecond - a[1].perSecond);
  if (verbs.length === 0) return null;
  return (
    <section class="card" aria-label="Commands">
      <header><h2>Commands</h2><span class="faint">in the last {Math.round(now.seconds)} s</span></header>
      <div class="scroll" tabIndex={0} role="region" aria-label="Commands by verb">
        <table>
          <thead><tr><th scope="col">Verb</th><th scope="col" class="n">A second</th><th scope="col" class="n">Half within</th><th scope="col" class="n">99 of 100 within</th></tr></thead>
          <tbody>
            {verbs.map(([verb, v]) => (
              <tr key={verb}><th scope="row" class="mono">{verb}</th><td class="n">{rate(v.perSecond)}</td><td class="n">{seconds(v.p50Ms / 1000)}</td><td class="n">{seconds(v.p99Ms / 1000)}</td></tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
