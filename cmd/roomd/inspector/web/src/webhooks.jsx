// Webhooks: how each is, and what could not be delivered.

import { useEffect, useState } from "preact/hooks";
import * as actions from "./actions.jsx";
import { webhooks } from "./api.js";
import { show } from "./dialog.jsx";
import { count, many, moment, span } from "./format.js";
import { link } from "./route.js";

const short = (id) => id.slice(-8);

export function Webhooks({ now }) {
  const list = now.webhooks ?? [];
  if (list.length === 0) return null;
  const at = Date.parse(now.at);
  return (
    <section class="card" aria-label="Webhooks">
      <header>
        <h2>Webhooks</h2>
        {!now.leads && <span class="faint">{now.leader ? `instance ${short(now.leader)} delivers; how it goes is on its page` : "no instance leads now, so none delivers"}</span>}
      </header>
      <div class="scroll" tabIndex={0} role="region" aria-label="How webhooks are">
        <table>
          <thead>
            <tr>
              <th scope="col">Webhook</th><th scope="col">State</th><th scope="col" class="n">To deliver</th><th scope="col" class="n hide-narrow">Rooms held up</th>
              <th scope="col" class="n">Dead letters</th><th scope="col" class="hide-narrow">Last failure</th>
            </tr>
          </thead>
          <tbody>{list.map((hook) => <Hook key={hook.name} hook={hook} now={now} at={at} />)}</tbody>
        </table>
      </div>
    </section>
  );
}

const known = (n) => (n === undefined ? <span class="faint">not known</span> : count(n));

function Hook({ hook, now, at }) {
  const { name, host, waiting, behind, letters, oldestAt, why, whyAt } = hook;
  return (
    <tr>
      <th scope="row"><span class="mono">{name}</span><span class="sub id">{host}</span></th>
      <td><State hook={hook} now={now} /></td>
      <td class="n">{known(waiting)}{oldestAt && <span class="sub">for {span(at - Date.parse(oldestAt))}</span>}{behind > 0 && <span class="sub show-narrow">{many(behind, "room")} held up</span>}</td>
      <td class="n hide-narrow">{known(behind)}</td>
      <td class="n">
        {letters > 0 ? <button class="tiny" aria-label={`${many(letters, "dead letter")} of ${name}`} onClick={() => show((props) => <Letters {...props} name={name} />)}>{count(letters)}…</button> : known(letters)}
      </td>
      <td class="hide-narrow id">{why && <>{why}<span class="sub">{moment(whyAt)}</span></>}</td>
    </tr>
  );
}

function State({ hook: { state, since, until, behind, why }, now }) {
  switch (state) {
    case "delivering": return behind > 0 ? <span class="badge warn">delivering, not to all rooms</span> : <span class="badge host">delivering</span>;
    case "failing": return <><span class="badge bad">failing</span><span class="sub">since {moment(since)}</span><span class="sub show-narrow">{why}</span></>;
    case "paused": return <><span class="badge warn">paused</span><span class="sub">until {moment(until)}, as the receiver asked</span></>;
    case "starting": return <span class="badge warn">starting</span>;
    default: return now.leader ? `at ${short(now.leader)}` : <span class="badge warn">waits for a lead</span>;
  }
}

/** The dead letters of a webhook, and what becomes of them. */
function Letters({ close, title, name }) {
  const [list, setList] = useState(null);
  const [more, setMore] = useState("");
  const [why, setWhy] = useState("");
  const read = async (nextFlag, before) => {
    try {
      const page = await webhooks("list", { webhook: name, ...(nextFlag && { nextFlag }) });
      setList([...before, ...(page.letters ?? [])]);
      setMore(page.nextFlag ?? "");
      setWhy("");
    } catch (err) {
      setWhy(err.message);
    }
  };
  useEffect(() => {
    read("", []);
  }, [name]);
  const act = async (does, ids) => {
    if (await does(name, ids)) read("", []);
  };
  const trying = list?.some((letter) => letter.replay);
  useEffect(() => {
    if (!trying) return undefined;
    const again = setInterval(() => read("", []), 1000); // until it is known what became of them
    return () => clearInterval(again);
  }, [trying]);
  return (
    <div class="in">
      <h2 id={title}>Dead letters of {name}</h2>
      <p>What could not be delivered. They are kept for 30 days, and can be delivered for as long as the stream has the event.</p>
      <p class="refusal" role="alert">{why}</p>
      {list?.length === 0 && <p role="status">There are none any more.</p>}
      {list?.length > 0 && (
        <>
          <div class="scroll letters" tabIndex={0} role="region" aria-label={`Dead letters of ${name}`}>
            <table>
              <thead><tr><th scope="col">Letter</th><th scope="col">Room</th><th scope="col">Why</th><th scope="col"><span class="hear">What to do</span></th></tr></thead>
              <tbody>
                {list.map((letter) => (
                  <tr key={letter.id}>
                    <th scope="row"><span class="mono">{letter.id}</span><span class="sub">{letter.type.replace(/^io\.natsrooms\.|\.v1$/g, "")}</span><span class="sub">{moment(letter.time)}</span></th>
                    <td class="id"><a href={link("rooms", letter.roomID)} onClick={() => close()}>{letter.roomID}</a></td>
                    <td class="id">{letter.replay ? <span class="badge host">to be delivered</span> : letter.why}<span class="sub">{letter.tries === 1 ? "tried once" : `tried ${count(letter.tries)} times`}</span></td>
                    <td class="n">
                      <button type="button" class="tiny" aria-label={`Replay ${letter.id}`} onClick={() => act(actions.replay, [letter.id])}>Replay…</button>{" "}
                      <button type="button" class="tiny bad" aria-label={`Drop ${letter.id}`} onClick={() => act(actions.drop, [letter.id])}>Drop…</button>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          {more && <p><button type="button" onClick={() => read(more, list)}>More</button></p>}
        </>
      )}
      <div class="buttons">
        {list?.length > 0 && <button type="button" onClick={() => act(actions.replay)}>Replay all…</button>}
        {list?.length > 0 && <button type="button" class="bad" onClick={() => act(actions.drop)}>Drop all…</button>}
        <button type="button" autofocus onClick={() => close()}>Close</button>
      </div>
    </div>
  );
}
