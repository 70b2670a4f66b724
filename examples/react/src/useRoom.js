import { useCallback, useEffect, useState } from "react";

const outside = { state: "entering", members: [], messages: [], error: null };
const shown = 200; // messages that are kept; the service keeps more

/**
 * A room, for as long as the component is there: it enters when the component appears and leaves
 * when it goes. The client heals what gets lost on the way, so what this returns is the room as it is.
 *
 *   const { state, members, messages, error, send } = useRoom(client, "lobby");
 *
 * state is "entering", "in", "reconnecting" or "out"; members are the roster's, oldest first;
 * messages are the newest ones, oldest first, without those that were deleted; error is why the
 * session is out. send(text) resolves when the message is stored.
 */
export function useRoom(client, roomID) {
  const [room, setRoom] = useState(outside);

  useEffect(() => {
    let here = true; // the component shows this room
    let entered = false; // before that, what is told is about a component that was there before
    const loops = [];
    const set = (change) => here && setRoom((room) => ({ ...room, ...change(room) }));
    const failed = (error) => set(() => ({ state: "out", error, members: [] }));
    const follow = (loop, take) => {
      loops.push(loop);
      return (async () => {
        for await (const step of loop) take(step);
      })().catch(failed);
    };

    /** Follows the session: it comes back after the end of its lease, and is out otherwise. */
    function told({ roomID: where, state, event, reasonText, comeBack }) {
      if (where !== roomID || !entered) return;
      if (event === "networkInterrupted") set(() => ({ state: "reconnecting" }));
      else if (state === "connected") set(() => ({ state: "in", error: null }));
      else if (state === "disconnected" && comeBack) client.enter({ roomID }).catch(failed);
      else if (state === "disconnected") failed(new Error(reasonText || event));
    }

    async function enter() {
      follow(client.states(), told); // listens before there is something to hear
      await client.enter({ roomID });
      if (!here) return;
      entered = true;
      set(() => ({ state: "in" }));
      follow(client.watch({ roomID }), ({ roster }) => {
        const members = roster?.members() ?? []; // now: the next update changes the roster
        set(() => ({ members }));
      });
      const deleted = ({ messageSeqs }) => set(({ messages }) => ({ messages: messages.filter((m) => !messageSeqs.includes(m.messageSeq)) }));
      follow(client.messages({ roomID, last: 20, deleted }), ({ data }) => set(({ messages }) => ({ messages: [...messages, data].slice(-shown) })));
    }

    setRoom(outside);
    enter().catch(failed);
    return () => {
      here = false;
      for (const loop of loops) loop.close();
      client.leave({ roomID }).catch(() => {}); // after the enter, if that is still on its way; perhaps it is out already
    };
  }, [client, roomID]);

  const send = useCallback((text) => client.send({ roomID, type: "text", data: text }), [client, roomID]);
  return { ...room, send };
}
