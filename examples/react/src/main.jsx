// A page with React: choose a room, see who is in it, and talk. What is React's own about it is
// in useRoom.js.

import { wsconnect } from "@nats-io/nats-core";
import { Client, connectOptions } from "natsrooms";
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { useRoom } from "./useRoom.js";

const asked = new URLSearchParams(location.search);
const user = asked.get("user") ?? `guest-${Math.floor(Math.random() * 1000)}`;
const rooms = (asked.get("rooms") ?? "lobby,kitchen").split(",");
const server = asked.get("server") ?? "ws://127.0.0.1:4280";

function Page({ client }) {
  const [roomID, setRoomID] = useState(rooms[0]);
  return (
    <main>
      <h1>{user}</h1>
      <nav>
        {rooms.map((id) => (
          <button key={id} aria-pressed={id === roomID} onClick={() => setRoomID(id)}>{id}</button>
        ))}
      </nav>
      <Room key={roomID} client={client} roomID={roomID} />
    </main>
  );
}

function Room({ client, roomID }) {
  const { state, members, messages, error, send } = useRoom(client, roomID);
  const [text, setText] = useState("");
  const [refusal, setRefusal] = useState("");

  async function say(event) {
    event.preventDefault();
    if (!text.trim()) return;
    setText("");
    try {
      await send(text);
      setRefusal("");
    } catch (err) {
      setText((now) => now || text);
      setRefusal(err.message);
    }
  }

  return (
    <section aria-label={roomID}>
      <p role="status">{state}{error && `: ${error.message}`}</p>
      <ul aria-label="Members">{members.map((m) => <li key={m.userID}>{m.userName || m.userID}</li>)}</ul>
      <ol aria-label="Messages">
        {messages.map((m) => <li key={m.messageID}><b>{m.senderUserID}</b> {m.data}</li>)}
      </ol>
      <form onSubmit={say}>
        <input aria-label="Message" value={text} onChange={(event) => setText(event.target.value)} disabled={state === "out"} />
        <button disabled={state === "out"}>Send</button>
      </form>
      {refusal && <p role="alert">{refusal}</p>}
    </section>
  );
}

async function start(root) {
  try {
    const nc = await wsconnect({ ...connectOptions(server, { userID: user }), name: "react page" });
    const client = new Client(nc, { userID: user }); // one for the whole page
    root.render(<StrictMode><Page client={client} /></StrictMode>);
  } catch (err) {
    root.render(<p role="alert">{err.message || `Nobody answers at ${server}.`}</p>);
  }
}

start(createRoot(document.getElementById("root")));
