// The frame: where one is, whether roomd is there, and who may come in.

import { useEffect, useRef, useState } from "preact/hooks";
import { contact, login, logout, open, session } from "./api.js";
import { Boundary } from "./boundary.jsx";
import { Dialogs } from "./dialog.jsx";
import { clock } from "./format.js";
import { RoomPage } from "./room.jsx";
import { RoomsPage } from "./rooms.jsx";
import { link, route } from "./route.js";
import { ServicePage } from "./service.jsx";
import { useStore } from "./store.js";
import { nextTheme, theme } from "./theme.js";
import { UsersPage } from "./users.jsx";

const pages = { rooms: "Rooms", service: "Service", users: "Users" };

export function App() {
  const who = useStore(session);
  const up = useStore(contact);
  useEffect(() => {
    open().catch(() => {});
  }, []);
  if (!who) return up.up ? <p class="hear" role="status">Asking roomd…</p> : <main><Contact /></main>;
  if (!who.loggedIn) return <Door ended={who.ended} />;
  return <Inside who={who} />;
}

function Inside({ who }) {
  const { path } = useStore(route);
  const main = useRef();
  const first = useRef(true);
  const name = path[0] || "rooms";
  const title = name === "rooms" && path[1] ? path[1] : pages[name] ?? "Not here";
  const key = path.join("/");
  useEffect(() => {
    document.title = `${title} · natsrooms`;
    if (!first.current) main.current.focus(); // a screen reader goes on with what is new
    first.current = false;
    scrollTo(0, 0);
  }, [key]);
  return (
    <>
      <a class="skip" href="#content" onClick={(event) => { event.preventDefault(); main.current.focus(); }}>To the content</a>
      <header class="top">
        <a class="brand" href={link("rooms")}><img src="icon.svg" alt="" />natsrooms</a>
        <nav aria-label="Pages">
          {Object.entries(pages).map(([id, label]) => (
            <a key={id} href={link(id)} aria-current={id === name ? "page" : undefined}>{label}</a>
          ))}
        </nav>
        <div class="end">
          <State />
          <Theme />
          {who.loginNeeded && <button class="plain" onClick={() => logout().catch(() => {})}>Log out</button>}
        </div>
      </header>
      <Contact />
      <main id="content" ref={main} tabIndex={-1} aria-label={title}>
        <Boundary key={key}>
          {name === "rooms" ? (path[1] ? <RoomPage key={path[1]} roomID={path[1]} /> : <RoomsPage />)
            : name === "service" ? <ServicePage />
            : name === "users" ? <UsersPage />
            : <p>There is no such page. <a href={link("rooms")}>The rooms</a></p>}
        </Boundary>
      </main>
      <Dialogs />
    </>
  );
}

function State() {
  const { up } = useStore(contact);
  return <span class={`state ${up ? "" : "down"}`}>{up ? "live" : "away"}</span>;
}

/** Says that roomd is away, and that it is back. */
function Contact() {
  const { up, since, back } = useStore(contact);
  return (
    <div role="status" class="contact">
      {!up && (
        <div class="away">
          <strong>roomd does not answer</strong>
          <span>since {clock(since)}. What is shown may be out of date. The page connects again by itself.</span>
        </div>
      )}
      {up && back && <div class="away back"><strong>roomd is back</strong><span>since {clock(since)}; everything was read again.</span></div>}
    </div>
  );
}

const looks = { auto: ["◐", "as the system"], light: ["☀", "light"], dark: ["☾", "dark"] };

function Theme() {
  const [sign, name] = looks[useStore(theme)];
  return (
    <button class="plain" onClick={nextTheme} title={`Colours: ${name}`} aria-label={`Colours: ${name}; change`}>
      <span aria-hidden="true">{sign}</span>
    </button>
  );
}

function Door({ ended }) {
  const [password, setPassword] = useState("");
  const [why, setWhy] = useState("");
  const [busy, setBusy] = useState(false);
  const input = useRef();
  useEffect(() => {
    document.title = "Log in · natsrooms";
    input.current.focus();
  }, []);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await login(password);
    } catch (err) {
      setWhy(err.message);
      setPassword("");
      setBusy(false);
      input.current.focus();
    }
  };
  return (
    <main class="door">
      <form onSubmit={submit}>
        <h1 class="brand"><img src="icon.svg" alt="" />natsrooms</h1>
        {ended && !why && <p role="status">The session has ended. Log in again.</p>}
        <label class="field">
          <span>Password</span>
          <input ref={input} type="password" autocomplete="current-password" required value={password} onInput={(event) => setPassword(event.currentTarget.value)} />
        </label>
        <p class="refusal" role="alert">{why}</p>
        <button class="main" disabled={busy}>Log in</button>
        <Contact />
      </form>
    </main>
  );
}
