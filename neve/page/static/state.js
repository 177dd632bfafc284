/**
 * What is shown, as one plain value, and its twin in the address bar.
 *
 * Belongs here: reading and writing the state. Does not belong here: what anybody makes of it.
 *
 * @typedef {object} View what one side of a comparison shows; missing keys follow the main side
 * @property {string} [at] branch, tag or snapshot id
 * @property {string} [month] YYYY-MM
 * @property {string} [v] name of a variable
 *
 * @typedef {object} State
 * @property {string} at branch, tag or snapshot id
 * @property {string} month YYYY-MM, or "" while the snapshot has none
 * @property {string} v name of a variable
 * @property {number?} lo lower limit of the colours; null: the variable's own
 * @property {number?} hi upper limit
 * @property {string?} cm colormap; null: the variable's own
 * @property {number} low fewer observations than this are hatched; 0: none
 * @property {[number, number, number]?} view longitude, latitude, zoom; null: the whole cube
 * @property {[number, number]?} px longitude and latitude of the chosen pixel
 * @property {View?} b the other state
 * @property {"" | "swipe" | "delta"} mode how the other state is shown
 * @property {number} split divider of the swipe, percent
 * @property {boolean} xray
 * @property {boolean} gpu
 */

/** @type {State} */
const START = {
  at: "main", month: "", v: "", lo: null, hi: null, cm: null, low: 2, view: null, px: null,
  b: null, mode: "", split: 50, xray: false, gpu: false,
};

/** @param {number} low @returns {number} a limit of hatches that tiles of counts can tell: 0…25 */
export const fewest = (low) => Math.min(25, Math.max(0, low));

/** @param {string} text @returns {State} the state that an address says; unknown keys are ignored */
export function parse(text) {
  const said = new URLSearchParams(text.replace(/^#/, ""));
  const number = (key, otherwise) => {
    const value = Number.parseFloat(said.get(key) ?? "");
    return Number.isFinite(value) ? value : otherwise;
  };
  const numbers = (key, count) => {
    const values = (said.get(key) ?? "").split(",").map(Number);
    return values.length === count && values.every(Number.isFinite) ? values : null;
  };
  const other = Object.fromEntries(
    ["at", "month", "v"].filter((k) => said.get(`b.${k}`)).map((k) => [k, said.get(`b.${k}`)]),
  );
  const mode = said.get("mode") ?? "";
  return {
    at: said.get("at") || START.at,
    month: said.get("month") ?? START.month,
    v: said.get("v") ?? START.v,
    lo: number("lo", null),
    hi: number("hi", null),
    cm: said.get("cm"),
    low: fewest(number("low", START.low)),
    view: numbers("view", 3),
    px: numbers("px", 2),
    b: Object.keys(other).length ? other : null,
    mode: ["swipe", "delta"].includes(mode) ? mode : "",
    split: Math.min(100, Math.max(0, number("split", START.split))),
    xray: said.has("xray"),
    gpu: said.has("gpu"),
  };
}

/** @param {State} state @returns {string} its address, without the # */
export function format(state) {
  const parts = [];
  const add = (key, value) => parts.push(`${key}=${encodeURIComponent(value).replaceAll("%2C", ",")}`);
  for (const [key, value] of Object.entries(state)) {
    if (key === "b") {
      for (const [k, v] of Object.entries(value ?? {})) if (v) add(`b.${k}`, v);
    } else if (key === "view" && value) add(key, `${value[0].toFixed(5)},${value[1].toFixed(5)},${value[2].toFixed(2)}`);
    else if (key === "px" && value) add(key, value.map((n) => n.toFixed(6)).join(","));
    else if (typeof value === "boolean" ? value : value !== START[key] && value != null) add(key, value === true ? 1 : value);
  }
  return parts.join("&");
}

/** The state, and who wants to know when it changes. */
export class Store {
  /** @type {State} */ now;
  /** @type {((state: State, changed: Set<string>) => void)[]} */ #listeners = [];

  constructor() {
    this.now = parse(location.hash);
    addEventListener("hashchange", () => this.set(parse(location.hash)));
  }

  /** @param {(state: State, changed: Set<string>) => void} listener */
  listen(listener) {
    this.#listeners.push(listener);
  }

  /** @param {Partial<State>} patch */
  set(patch) {
    const before = this.now;
    this.now = { ...before, ...patch };
    const changed = new Set(
      Object.keys(patch).filter((k) => JSON.stringify(before[k]) !== JSON.stringify(this.now[k])),
    );
    if (!changed.size) return;
    history.replaceState(null, "", `#${format(this.now)}`);
    for (const listener of this.#listeners) listener(this.now, changed);
  }

  /** @returns {string} a link that shows the same to anybody */
  link(patch = {}) {
    return `${location.origin}${location.pathname}#${format({ ...this.now, ...patch })}`;
  }
}
