// Dialogs: one that explains a command and gives it once it is confirmed, and what they share.

import { useEffect, useId, useRef, useState } from "preact/hooks";
import { command, session } from "./api.js";
import { line } from "./roomctl.js";
import { Store, useStore } from "./store.js";

const shown = new Store([]); // the innermost last

/** Opens a dialog; view gets a function that closes it, with an outcome that the promise resolves to. */
export function show(view) {
  return new Promise((resolve) => {
    const entry = { view };
    entry.close = (outcome) => {
      shown.value = shown.value.filter((other) => other !== entry);
      resolve(outcome);
    };
    shown.value = [...shown.value, entry];
  });
}

let keys = 0;
const keyOf = new WeakMap();

export function Dialogs() {
  return useStore(shown).map((entry) => {
    if (!keyOf.has(entry)) keyOf.set(entry, ++keys);
    return <Frame key={keyOf.get(entry)} entry={entry} />;
  });
}

function Frame({ entry: { view: View, close } }) {
  const dialog = useRef();
  const title = useId();
  useEffect(() => {
    const before = document.activeElement;
    const el = dialog.current;
    el.showModal();
    return () => {
      el.close(); // while it is open, nothing behind it can have the focus
      if (before?.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={title} onClose={() => close()}>
      <View close={close} title={title} />
    </dialog>
  );
}

/** The command line that does the same, to read and to copy. */
export function CommandLine({ verb, body }) {
  const { roomctl = "roomctl" } = useStore(session);
  const [copied, setCopied] = useState(false);
  const text = line(verb, body).replace(/^roomctl/, () => roomctl);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      setCopied(false); // the browser does not let the page; the text can be selected
    }
  };
  return (
    <div class="command">
      <div class="line">
        <span>The same from a terminal</span>
        {navigator.clipboard && <button type="button" class="tiny" onClick={copy}>{copied ? "Copied" : "Copy"}</button>}
      </div>
      <pre tabIndex={0} aria-label="Command line">{text}</pre>
    </div>
  );
}

/**
 * Asks before a command is given, and gives it. what has: verb, title, text, danger, button, the
 * fields of a form, body, which makes the command of what the form has, and give, which gives it. Resolves to the reply,
 * or undefined if it was not confirmed.
 */
export const confirm = (what) => show((props) => <Confirm {...props} {...what} />);

function Confirm({ close, title, verb, heading, text, danger, button, fields = [], body, give = command, done }) {
  const [values, setValues] = useState(() => Object.fromEntries(fields.map((field) => [field.name, field.value ?? ""])));
  const [why, setWhy] = useState("");
  const [busy, setBusy] = useState(false);
  const q = body(values);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      const reply = await give(verb, q);
      const refused = done?.(reply);
      if (refused) throw new Error(refused);
      close(reply);
    } catch (err) {
      setWhy(err.message);
      setBusy(false);
    }
  };
  return (
    <form method="dialog" onSubmit={submit}>
      <h2 id={title}>{heading}</h2>
      {text && <p>{text}</p>}
      {fields.map((field, i) => (
        <Field key={field.name} field={field} first={i === 0} value={values[field.name]} set={(value) => setValues({ ...values, [field.name]: value })} />
      ))}
      <CommandLine verb={verb} body={q} />
      <p class="refusal" role="alert">{why}</p>
      <div class="buttons">
        <button type="button" onClick={() => close()}>Cancel</button>
        <button class={`main ${danger ? "bad" : ""}`} disabled={busy} autofocus={fields.length === 0}>{button}</button>
      </div>
    </form>
  );
}

export function Field({ field, first, value, set }) {
  const take = (event) => set(event.currentTarget.value);
  return (
    <label class="field">
      <span>{field.label}</span>
      {field.options ? (
        <select autofocus={first} value={value} onChange={take}>
          {field.options.map(([of, label]) => <option key={of} value={of}>{label}</option>)}
        </select>
      ) : field.long ? (
        <textarea autofocus={first} value={value} required={field.required} onInput={take} />
      ) : (
        <input autofocus={first} type={field.type ?? "text"} value={value} required={field.required} placeholder={field.hint} min={field.min} maxLength={field.max} onInput={take} />
      )}
    </label>
  );
}
