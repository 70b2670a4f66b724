// Users whom back ends keep out, and a place to try a token.

import { useEffect, useState } from "preact/hooks";
import * as actions from "./actions.jsx";
import { epoch, command, post, session } from "./api.js";
import { count, moment } from "./format.js";
import { useStore } from "./store.js";

export function UsersPage() {
  return (
    <>
      <h1 class="hear">Users</h1>
      <Blocked />
      <Try />
    </>
  );
}

function Blocked() {
  const [list, setList] = useState(null);
  const [more, setMore] = useState("");
  const [why, setWhy] = useState("");
  const [asked, askAgain] = useState(0);
  const again = useStore(epoch);
  const read = async (nextFlag, before) => {
    try {
      const page = await command("blocked", { count: 100, ...(nextFlag && { nextFlag }) });
      setList([...before, ...page.userList]);
      setMore(page.nextFlag);
      setWhy("");
    } catch (err) {
      setWhy(err.message);
    }
  };
  useEffect(() => {
    read("", []);
  }, [again, asked]);
  const act = async (does) => {
    if (await does) askAgain(asked + 1);
  };
  return (
    <section class="card" aria-label="Blocked users">
      <header>
        <h2>Blocked users</h2>
        <span class="faint">{list && (list.length === 0 ? "nobody is blocked, no token is refused" : count(list.length) + (more ? " and more" : ""))}</span>
        <span class="end"><button onClick={() => act(actions.block())}>Block a user…</button></span>
      </header>
      {why && <p class="none refusal" role="alert">{why}</p>}
      {list?.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Who is blocked">
          <table>
            <thead><tr><th scope="col">User</th><th scope="col">Refused</th><th scope="col">Since</th><th scope="col">Until</th><th scope="col" class="hide-narrow">Reason</th><th scope="col"><span class="hear">Change</span></th></tr></thead>
            <tbody>
              {list.map((b) => (
                <tr key={b.userID}>
                  <th scope="row" class="id">{b.userID}</th>
                  <td>
                    {b.blocked && <span class="badge bad">everything</span>}{" "}
                    {b.tokens && <span class="badge warn">{count(b.tokens.length)} tokens</span>}{" "}
                    {b.issuedBefore && <span class="badge warn">tokens before {moment(b.issuedBefore)}</span>}
                  </td>
                  <td>{b.blockedAt ? moment(b.blockedAt) : ""}</td>
                  <td>{b.blocked ? (b.until ? moment(b.until) : "unblocked") : ""}</td>
                  <td class="hide-narrow id">{b.reason}</td>
                  <td class="n"><button class="tiny" aria-label={`Unblock ${b.userID}`} onClick={() => act(actions.unblock(b))}>Unblock…</button></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {more && <p class="body"><button onClick={() => read(more, list)}>More</button></p>}
    </section>
  );
}

const verbs = ["enter", "get", "members", "history", "send", "leave", "rooms"];

/** What an end user with a token may do: it connects with it, as that user would. */
function Try() {
  const { withToken } = useStore(session);
  const [token, setToken] = useState("");
  const [verb, setVerb] = useState("");
  const [body, setBody] = useState('{"roomID": "lobby"}');
  const [answer, setAnswer] = useState(null);
  const [why, setWhy] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setWhy("");
    setAnswer(null);
    let q;
    try {
      q = verb ? JSON.parse(body) : undefined;
    } catch {
      return setWhy("The body is not JSON.");
    }
    setBusy(true);
    try {
      setAnswer(await post("try", { token: token.trim(), ...(verb && { verb, body: q }) }));
    } catch (err) {
      setWhy(err.message);
    }
    setBusy(false);
  };
  return (
    <section class="card" aria-label="Try a token">
      <header><h2>Try a token</h2><span class="faint">what an end user may do with it</span></header>
      {!withToken && <p class="none">Here nobody needs a token. <code>roomd --auth jwt --auth-key FILE</code> lets end users in with tokens, and <code>roomctl token --key FILE --sub alice</code> makes one.</p>}
      {withToken && (
        <form class="body tryit" onSubmit={submit}>
          <p class="faint"><code>roomctl token --key FILE --sub alice --rooms lobby</code> makes a token. It is used once, and not kept.</p>
          <label class="field"><span>Token</span><textarea required spellcheck={false} autocomplete="off" class="mono" value={token} onInput={(event) => setToken(event.currentTarget.value)} /></label>
          <label class="field pick">
            <span>Command</span>
            <select value={verb} onChange={(event) => setVerb(event.currentTarget.value)}>
              <option value="">none: only connect</option>
              {verbs.map((name) => <option key={name}>{name}</option>)}
            </select>
          </label>
          {verb && <label class="field"><span>Its body</span><textarea spellcheck={false} class="mono" value={body} onInput={(event) => setBody(event.currentTarget.value)} /></label>}
          <div class="buttons"><button class="main" disabled={busy}>Try</button></div>
          <p class="refusal" role="alert">{why}</p>
          <div role="status">
            {answer && (
              <>
                <p><span class={`badge ${answer.accepted ? "host" : "bad"}`}>{answer.accepted ? "accepted" : "refused"}</span> {answer.why}</p>
                {answer.claims && (
                  <dl class="facts">
                    <div><dt>User</dt><dd>{answer.claims.userID}</dd></div>
                    {answer.claims.rooms && <div><dt>Rooms</dt><dd>{answer.claims.rooms.join(", ")}</dd></div>}
                    {answer.claims.hosts && <div><dt>Host of</dt><dd>{answer.claims.hosts.join(", ")}</dd></div>}
                    {answer.claims.verbs && <div><dt>Commands</dt><dd>{answer.claims.verbs.join(", ")}</dd></div>}
                    {answer.claims.admin && <div><dt>Rights</dt><dd>a back end's</dd></div>}
                    {answer.claims.expiresAt && <div><dt>Until</dt><dd>{moment(answer.claims.expiresAt)}</dd></div>}
                  </dl>
                )}
                {answer.reply && <div class="command"><pre tabIndex={0} aria-label="Answer">{JSON.stringify(answer.reply, null, 1)}</pre></div>}
              </>
            )}
          </div>
        </form>
      )}
    </section>
  );
}
