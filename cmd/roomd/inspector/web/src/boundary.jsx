// What is seen of a part that could not be drawn.

import { useEffect, useErrorBoundary, useRef } from "preact/hooks";

/** Draws its children, or says that they could not be drawn; whole: there is nothing else on the page. */
export function Boundary({ children, whole }) {
  const [err] = useErrorBoundary((why) => console.error(why));
  if (!err) return children;
  return whole ? <main><Broken err={err} /></main> : <Broken err={err} />;
}

function Broken({ err }) {
  const button = useRef();
  useEffect(() => button.current.focus(), []);
  return (
    <section class="card broken" aria-label="The page is broken">
      <div class="body" role="alert">
        <h1>This can't be shown</h1>
        <p>The page made a mistake; roomd goes on. If it comes again after the page is loaded again, roomd and the page in this tab may be of different versions, or it is an error of ours: <code>{String(err?.message ?? err)}</code></p>
      </div>
      <div class="body buttons"><button ref={button} class="main" onClick={() => location.reload()}>Load the page again</button></div>
    </section>
  );
}
