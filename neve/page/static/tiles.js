/**
 * Tiles on their way to the map: fetched here, so that each one's level, bytes and times are known,
 * and drawn here where the map shows what no server draws (hatches, differences).
 *
 * Belongs here: MapLibre protocols. Does not belong here: layers (`map.js`).
 *
 * @typedef {{z: number, x: number, y: number, level: string, bytes: number, server: number?,
 *   total: number}} Traffic what is known of a tile: level, bytes, milliseconds
 */
import { addProtocol } from "maplibre-gl";
import { colours } from "./colormaps.js";

const SIZE = 256;
/** Counts travel as grey, ten steps for one observation. */
const COUNT_TOP = 25.5;
const DELTA = colours("PuOr");
/** A difference is taken over so many times the range of the colours: values beyond it differ too. */
const WIDER = 3;

/** Template of the coloured tiles → tile → what is known of it; the oldest templates are forgotten.
 * @type {Map<string, Map<string, Traffic>>} */
const traffic = new Map();

/** @param {string} template @returns {Traffic[]} of the tiles that were fetched for it */
export const trafficOf = (template) => [...(traffic.get(template)?.values() ?? [])];

/** @param {string} path @param {AbortSignal} signal @returns {Promise<[Blob, Traffic]>} */
async function load(path, signal) {
  const began = performance.now();
  const answer = await fetch(path, { signal });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  const blob = await answer.blob();
  const [z, y, x] = path.match(/\/(\d+)\/(\d+)\/(\d+)\.png/).slice(1).map(Number);
  const times = [...(answer.headers.get("Server-Timing") ?? "").matchAll(/dur=([\d.]+)/g)];
  return [blob, {
    z, x, y, bytes: blob.size, level: answer.headers.get("X-Multiscale-Level") ?? "–",
    server: times.length ? Math.max(...times.map((m) => Number(m[1]))) : null,
    total: performance.now() - began,
  }];
}

/** @param {string} path @param {AbortSignal} signal @returns {Promise<Uint8ClampedArray>} RGBA */
async function pixels(path, signal) {
  const [blob] = await load(path, signal);
  const image = await createImageBitmap(blob, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
  const context = new OffscreenCanvas(SIZE, SIZE).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, SIZE, SIZE);
  return context.getImageData(0, 0, SIZE, SIZE).data;
}

/** @param {(k: number, out: Uint8ClampedArray) => void} draw one pixel (its place in RGBA) */
function drawn(draw) {
  const out = new Uint8ClampedArray(4 * SIZE * SIZE);
  for (let k = 0; k < out.length; k += 4) draw(k, out);
  return createImageBitmap(new ImageData(out, SIZE, SIZE));
}

const rest = (url) => url.slice(url.indexOf("://") + 3);

/** cube://<path of a tile>: as it comes, remembered for the X-ray. */
addProtocol("cube", async ({ url }, { signal }) => {
  const path = rest(url);
  const [blob, known] = await load(path, signal);
  const template = path.replace(/\/\d+\/\d+\/\d+\.png/, "/{z}/{y}/{x}.png");
  if (!traffic.has(template)) traffic.set(template, new Map());
  if (traffic.size > 20) traffic.delete(traffic.keys().next().value);
  traffic.get(template).set(`${known.z}/${known.x}/${known.y}`, known);
  return { data: await blob.arrayBuffer() };
});

/** hatch://<least>|<path of a tile of grey counts>: lines where there are some, but too few. */
addProtocol("hatch", async ({ url }, { signal }) => {
  const [least, path] = rest(url).split("|");
  const grey = await pixels(path, signal);
  const top = Number(least) * (255 / COUNT_TOP);
  return {
    data: await drawn((k, out) => {
      const [x, y] = [(k / 4) % SIZE, Math.floor(k / 4 / SIZE)];
      if (!grey[k + 3] || grey[k] < 1 || grey[k] >= top - 0.5) return;
      if ((x + y) % 8 === 0) out.set([15, 58, 77, 200], k);
      else if ((x + y) % 8 === 1) out.set([251, 253, 254, 170], k);
    }),
  };
});

/** delta://<path of a wide grey tile>|<path of the other>: other minus first, ± half of the range.
 * Where both are at the same end of even the wide range, nobody knows: chequered. */
addProtocol("delta", async ({ url }, { signal }) => {
  const [from, to] = await Promise.all(rest(url).split("|").map((path) => pixels(path, signal)));
  return {
    data: await drawn((k, out) => {
      const [had, has] = [from[k + 3] > 0, to[k + 3] > 0];
      const [x, y] = [(k / 4) % SIZE, Math.floor(k / 4 / SIZE)];
      const beyond = from[k] === to[k] && (to[k] === 0 || to[k] === 255);
      if (had && has && beyond) out.set(x % 16 < 8 === y % 16 < 8 ? [120, 128, 132, 255] : [205, 210, 212, 255], k);
      else if (had && has) out.set([...DELTA[Math.max(0, Math.min(255, 128 + WIDER * (to[k] - from[k])))], 255], k);
      else if (had !== has && (x + y) % 6 < 3) out.set(has ? [17, 105, 140, 220] : [77, 103, 115, 220], k);
    }),
  };
});

/** @param {string} path of a tile, with query @returns {string} the same in grey, `lo` black and `hi` white */
export const grey = (path, lo, hi) => {
  const [start, query] = path.split("?");
  const month = new URLSearchParams(query).get("month");
  return `${start}?${new URLSearchParams({ month, lo, hi, colormap: "gray" })}`;
};
/** As `grey`, `WIDER` times the range: for differences. */
export const wideGrey = (path, lo, hi) => {
  const more = ((WIDER - 1) / 2) * (hi - lo);
  return grey(path, lo - more, hi + more);
};
export const countLimits = [0, COUNT_TOP];
