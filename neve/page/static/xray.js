/**
 * The X-ray: what became of every block, and what every tile in view cost.
 *
 * Belongs here: the block grid and the tiles' figures. Does not belong here: fetching tiles.
 */
import { blocks } from "./data.js";
import { by, make } from "./dom.js";
import { polygon } from "./map.js";
import { trafficOf } from "./tiles.js";

/** By `blocks/status`: name, colour; told apart by lightness and by the word on the map, too. */
export const STATUSES = [
  ["never run", "#ffffff"], ["land filter", "#8c7a5b"], ["no scenes", "#2b2f45"], ["cloudy", "#b7c3cf"], ["data", "#3f9fc4"],
];
const TEXT = { "text-font": ["sans-serif"], "text-size": 11, "text-allow-overlap": true };
const HALO = { "text-color": "#0f3a4d", "text-halo-color": "#fbfdfe", "text-halo-width": 1.6 };

/** @param {number[][][]} corners of all blocks @returns {number[][]} ring of one */
const cell = (corners, i, j) => [corners[i][j], corners[i][j + 1], corners[i + 1][j + 1], corners[i + 1][j], corners[i][j]];

/** @param {import("./map.js").Chart} chart @param {string} snapshot @param {string} month @param {boolean} on */
export async function drawBlocks(chart, snapshot, month, on) {
  by("xray").hidden = !on;
  if (!on || !month) return chart.shapes("blocks", []);
  const found = await blocks(snapshot, month);
  const all = found.status.flat();
  by("statuses").replaceChildren(...STATUSES.map(([name, colour], k) => make("li", {},
    make("span", { class: "swatch", style: `background:${colour}` }), name, make("b", {}, String(all.filter((s) => s === k).length)))));
  const features = found.status.flatMap((row, i) => row.map((status, j) => polygon(cell(found.corners, i, j), { status, word: STATUSES[status][0] })));
  return chart.shapes("blocks", features, [
    { type: "fill", paint: { "fill-color": ["to-color", ["at", ["get", "status"], ["literal", STATUSES.map((s) => s[1])]]], "fill-opacity": 0.34 } },
    { type: "line", paint: { "line-color": "#0f3a4d", "line-width": 1 } },
    { type: "symbol", layout: { ...TEXT, "text-field": ["get", "word"] }, paint: HALO },
  ]);
}

/** @param {{z: number, x: number, y: number}} tile @returns {number[][]} its outline */
function outline({ z, x, y }) {
  const lon = (k) => (k / 2 ** z) * 360 - 180;
  const lat = (k) => (Math.atan(Math.sinh(Math.PI * (1 - (2 * k) / 2 ** z))) * 180) / Math.PI;
  return [[lon(x), lat(y)], [lon(x + 1), lat(y)], [lon(x + 1), lat(y + 1)], [lon(x), lat(y + 1)], [lon(x), lat(y)]];
}

const kilobytes = (bytes) => `${(bytes / 1024).toFixed(1)} KB`;

/** @param {import("./map.js").Chart} chart @param {string?} template of the tiles in view, null: not shown */
export function drawTraffic(chart, template) {
  const zoom = Math.round(chart.map.getZoom() + 1);
  const shown = template ? trafficOf(template).filter((t) => t.z === Math.min(zoom, 18)) : [];
  chart.shapes("traffic", shown.map((t) => polygon(outline(t), {
    text: `${t.level} · ${kilobytes(t.bytes)} · ${t.server == null ? "?" : Math.round(t.server)} ms`,
  })), [
    { type: "line", paint: { "line-color": "#c2560c", "line-width": 1, "line-dasharray": [2, 3] } },
    { type: "symbol", layout: { ...TEXT, "text-field": ["get", "text"], "text-offset": [0, 1.5] }, paint: { ...HALO, "text-color": "#8a3d08" } },
  ]);
  if (!template) return;
  const times = shown.map((t) => t.server ?? t.total).toSorted((a, b) => a - b);
  const rows = {
    "tiles in view": shown.length,
    level: [...new Set(shown.map((t) => t.level))].join(", ") || "–",
    bytes: kilobytes(shown.reduce((sum, t) => sum + t.bytes, 0)),
    "server time, median": times.length ? `${times[Math.floor(times.length / 2)].toFixed(0)} ms` : "–",
  };
  by("traffic").querySelector("tbody").replaceChildren(...Object.entries(rows).map(([k, v]) =>
    make("tr", {}, make("th", { scope: "row" }, k), make("td", {}, String(v)))));
}
