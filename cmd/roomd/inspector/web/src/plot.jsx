// A small plot of the last minutes.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { useStore } from "./store.js";
import { colour, painted } from "./theme.js";

const height = 118;
const colours = ["--accent", "--two", "--three", "--four", "--five", "--faint"];

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

/** series: [{label, values}], each as long as times; a value may be null. now is what is written beside the title. */
export function Plot({ title, now, times, series, format }) {
  const box = useRef();
  const plot = useRef();
  const paint = useStore(painted);
  const shape = series.map((s) => s.label).join("\n");
  const data = [times, ...series.map((s) => s.values)];
  useEffect(() => {
    const [line, text] = ["--line", "--faint"].map(colour);
    const axis = { stroke: text, font: "11px system-ui, sans-serif", grid: { stroke: line, width: 1 }, ticks: { show: false } };
    const u = new uPlot({
      width: box.current.clientWidth || 300, height,
      padding: [8, 4, 0, 0],
      cursor: { show: false }, legend: { show: false }, select: { show: false },
      scales: { x: { time: true }, y: { range: (_, min, max) => [Math.min(0, min ?? 0), max > 0 ? max * 1.1 : 1] } },
      axes: [
        { ...axis, space: 70, size: 22, values: (_, ticks) => ticks.map((t) => clock.format(t * 1000)) },
        { ...axis, size: 54, space: 28, values: (_, ticks) => ticks.map(format) },
      ],
      series: [{}, ...series.map((s, i) => ({ label: s.label, stroke: colour(colours[i % colours.length]), width: 1.5, points: { show: false }, spanGaps: false }))],
    }, data, box.current);
    plot.current = u;
    const sizes = new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width > 0 && Math.abs(contentRect.width - u.width) >= 1) u.setSize({ width: contentRect.width, height });
    });
    sizes.observe(box.current);
    return () => {
      sizes.disconnect();
      u.destroy();
    };
  }, [shape, paint]);
  useEffect(() => {
    plot.current?.setData(data);
  });
  const spoken = series.map((s) => `${s.label} ${s.values.at(-1) == null ? "not known" : format(s.values.at(-1))}`).join(", ");
  return (
    <figure class="card plot">
      <div class="title"><h2>{title}</h2><span class="now">{now}</span></div>
      <div class="keys" aria-hidden="true">{series.length > 1 && series.map((s, i) => <span key={s.label} class={`k${i % colours.length}`}>{s.label}</span>)}</div>
      <div class="draw" ref={box} role="img" aria-label={`${title}, now: ${spoken}`} />
    </figure>
  );
}
