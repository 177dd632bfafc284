/**
 * What the server knows, as it says it; asked once for each snapshot.
 *
 * Belongs here: requests to /api and the words for what comes back. Does not belong here: tiles.
 *
 * @typedef {{name: string, kind: "band"|"index"|"count"|"valid_fraction"|"preview", stored: boolean,
 *   long_name: string, formula?: string, reference?: string, domain?: string, units?: string,
 *   range: [number, number], colormap: string}} Variable
 * @typedef {{name: string, factor: number, height: number, width: number, resolution: number}} Level
 * @typedef {{name: string, crs: string, bounds: [number, number, number, number], months: string[], period: string,
 *   levels: Level[], variables: Variable[], snapshot: string,
 *   refs: {branches: Record<string, string>, tags: Record<string, string>}}} Cube
 * @typedef {{snapshot: string, parent: string?, written_at: string, message: string, month?: string,
 *   run_id?: string, code_version?: string, scenes?: string[], valid_fraction?: number}} Commit
 * @typedef {{month: string, valid_fraction: number?, median_count: number?, snapshot: string?,
 *   scenes: string[]?}} Month
 */

/** Whether the cube's time steps are years. */
let yearly = false;

/** @type {Map<string, Promise<any>>} */
const kept = new Map();

/**
 * @param {string} path below /api
 * @param {Record<string, string | number>} query
 * @returns {Promise<any>} its JSON; an Error in the server's words
 */
export async function ask(path, query) {
  const answer = await fetch(`api/${path}?${new URLSearchParams(query)}`);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error ?? `${path}: ${answer.status}`);
  return body;
}

/** As `ask`, once: for what never changes. A failure is not kept. */
function once(path, query) {
  const key = `${path}?${new URLSearchParams(query)}`;
  if (!kept.has(key)) kept.set(key, ask(path, query).catch((error) => { kept.delete(key); throw error; }));
  return kept.get(key);
}

/** Pictures of three bands, where the cube has them and no picture of its own. @param {Cube} cube @returns {Cube} */
function illustrated(cube) {
  const names = new Set(cube.variables.map((v) => v.name));
  const pictures = [["red,green,blue", "true colour", 0.22], ["nir,red,green", "false colour: plants are red", 0.4]]
    .filter(([bands], k) => bands.split(",").every((b) => names.has(b)) && !(k === 0 && names.has("visual")))
    .map(([name, long_name, hi]) => ({ name, kind: "preview", stored: false, long_name, range: [0, hi], colormap: "gray" }));
  return { ...cube, variables: [...pictures, ...cube.variables] };
}

/** @param {string} at @returns {Promise<Cube>} asked anew for what may move */
export async function cube(at) {
  const found = illustrated(await ask("cube", { at }));
  yearly = found.period === "year";
  return found;
}
/** @param {string} at @returns {Promise<Commit[]>} newest first */
export const history = (at) => ask("history", { at });
/** @param {string} snapshot @returns {Promise<Commit[]>} */
export const historyOf = (snapshot) => once("history", { at: snapshot });
/** @param {string} snapshot @returns {Promise<Cube>} */
export const cubeOf = async (snapshot) => illustrated(await once("cube", { at: snapshot }));
/** @param {string} snapshot @param {string[]} all @returns {Promise<Month[]>} one for each of `all` */
export async function months(snapshot, all) {
  const told = await once("months", { at: snapshot });
  return all.map((month) => told.find((m) => m.month === month) ?? { month, valid_fraction: null, median_count: null, snapshot: null, scenes: null });
}
/** @param {string} snapshot @param {string} month */
export const blocks = (snapshot, month) => once("blocks", { at: snapshot, month });
/** @param {string} from @param {string} to */
export const diff = (from, to) => once("diff", { from, to });

/**
 * @param {{ref: string, month: string, variable: string, lo: number, hi: number, colormap: string?}} what
 * @returns {string} template of a layer of tiles, relative to the page
 */
export function tiles({ ref, month, variable, lo, hi, colormap }) {
  const limits = colormap || variable.includes(",") ? { lo: String(lo), hi: String(hi) } : {};
  const query = new URLSearchParams({ month, ...limits, ...(colormap ? { colormap } : {}) });
  return `tiles/${encodeURIComponent(ref)}/${variable}/{z}/{y}/{x}.png?${query}`;
}

/** @param {Variable} variable @returns {string} what a reader calls it */
export const titleOf = (variable) => (variable.kind === "preview" ? variable.long_name : variable.name);

/** @param {string} month @returns {string} "June 2024"; the year alone of a cube of years */
export function monthName(month, style = "long") {
  const [year, number] = month.split("-").map(Number);
  if (yearly) return String(year);
  return new Date(Date.UTC(year, number - 1)).toLocaleDateString("en", { month: style, year: "numeric", timeZone: "UTC" });
}

/** @param {number?} value @returns {string} with as many digits as help */
export function figure(value) {
  if (value == null || Number.isNaN(value)) return "no data";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e5 || size < 1e-3)) return value.toExponential(2);
  return value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : 3).replace("-", "−");
}

/** @param {string} id @returns {string} enough of a snapshot id to tell it */
export const short = (id) => id.slice(0, 7);
/** @param {number?} share */
export const percent = (share) => (share == null ? "–" : `${Math.round(share * 100)} %`);
