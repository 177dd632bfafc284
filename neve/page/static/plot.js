/**
 * A pixel's series: values with the observations behind them, drawn by uPlot, and its twin as table and CSV.
 *
 * @typedef {{month: string, value: number?, count: number}} Point
 */
import { figure, monthName } from "./data.js";
import { make } from "./dom.js";

/** uPlot comes when the first pixel is opened. @type {Promise<any>?} */
let library = null;
const load = () => (library ??= new Promise((done, fail) => {
  document.head.append(
    make("link", { rel: "stylesheet", href: "vendor/uplot/dist/uPlot.min.css" }),
    make("script", { src: "vendor/uplot/dist/uPlot.iife.min.js", onload: () => done(globalThis.uPlot), onerror: fail }),
  );
}));

/**
 * @param {HTMLElement} place @param {Point[]} series
 * @param {{name: string, month: string, low: number, choose: (month: string) => void}} options
 */
export async function plot(place, series, { name, month, low, choose }) {
  const UPlot = await load();
  const times = series.map((p) => Date.UTC(...p.month.split("-").map((n, k) => Number(n) - k)) / 1000);
  const few = (u, k) => series[k].count < low;
  const font = "11px system-ui, sans-serif";
  const axis = { stroke: "#4d6773", font, grid: { stroke: "#e1ebf0", width: 1 }, ticks: { show: false } };
  const bars = UPlot.paths.bars({ size: [0.55, 22], radius: 0.2 });
  const most = Math.max(4, ...series.map((p) => p.count));
  place.replaceChildren();
  const chart = new UPlot({
    width: place.clientWidth, height: 150, cursor: { y: false, points: { size: 9 } }, legend: { show: false },
    scales: { n: { range: [0, most * 3] }, x: { range: (u, lo, hi) => [lo - 15 * 86400, hi + 15 * 86400] } },
    axes: [
      { ...axis, size: 24, grid: { show: false }, values: (u, ticks) => ticks.map((t) => new Date(t * 1000).toLocaleDateString("en", { month: "short", timeZone: "UTC" })) },
      { ...axis, size: 44, values: (u, ticks) => ticks.map((t) => String(t).replace("-", "−")) },
    ],
    series: [
      {},
      { label: "observations", scale: "n", paths: bars, fill: "#cfe3ec", stroke: "#a9cfe0", width: 1, points: { show: false } },
      {
        label: name, stroke: "#11698c", width: 2, spanGaps: false,
        points: { show: true, size: 7, fill: "#fbfdfe", filter: (u, k, show) => (show ? series.map((p, i) => i).filter((i) => series[i].value != null && !few(u, i)) : []) },
      },
    ],
    hooks: {
      draw: [(u) => {
        const k = series.findIndex((p) => p.month === month);
        if (k < 0) return;
        const x = u.valToPos(times[k], "x", true);
        u.ctx.fillStyle = "#c2560c";
        u.ctx.fillRect(x - 1, u.bbox.top, 2, u.bbox.height);
      }],
    },
  }, [times, series.map((p) => p.count), series.map((p) => p.value)], place);
  chart.over.addEventListener("click", () => chart.cursor.idx != null && choose(series[chart.cursor.idx].month));
  chart.root.setAttribute("role", "img");
  chart.root.setAttribute("aria-label", `${name} over ${series.length} months; the table below says the same`);
}

/** @param {Point[]} series @param {string} name @returns {string} */
export const csv = (series, name) =>
  [`month,${name},observations`, ...series.map((p) => `${p.month},${p.value ?? ""},${p.count}`)].join("\r\n") + "\r\n";

/** @param {Point[]} series @param {string} name @returns {HTMLElement} */
export const table = (series, name) => make("table", {},
  make("thead", {}, make("tr", {}, ...["month", name, "n"].map((t) => make("th", { scope: "col" }, t)))),
  make("tbody", {}, ...series.map((p) => make("tr", {},
    make("th", { scope: "row" }, monthName(p.month, "short")), make("td", {}, figure(p.value)), make("td", {}, String(p.count))))));
