/**
 * What a hand does: buttons, scrubbers, keys and clicks on the map become patches of the state.
 *
 * Belongs here: from events to patches. Does not belong here: what follows from them (`app.js`).
 *
 * @typedef {{cube: import("./data.js").Cube, months: import("./data.js").Month[], commits: import("./data.js").Commit[],
 *   refs: Record<string, string>, begun: import("./live.js").Begun[]?}} Known what the server said of the snapshot that is shown; commits oldest first, `begun` after the map
 */
import { compareInputs } from "./compare.js";
import { by } from "./dom.js";
import { keys } from "./keys.js";
import { legendInputs } from "./legend.js";
import { entries, searchBox } from "./search.js";

/** @param {Known["cube"]["refs"]} refs @returns {string} the branch whose history is shown */
export const branchOf = (refs) => ("main" in refs.branches ? "main" : Object.keys(refs.branches)[0]);

/**
 * @param {{store: import("./state.js").Store, chart: import("./map.js").Chart, known: () => Known,
 *   openExport: () => void, closePassport: () => void}} page
 */
export function controls({ store, chart, known, openExport, closePassport }) {
  const set = (patch) => store.set(patch);
  function moveTo(commit) {
    const tip = known().cube.refs.branches[branchOf(known().cube.refs)];
    set({ at: commit.snapshot === tip ? branchOf(known().cube.refs) : commit.snapshot });
  }

  /** Instead of a picture an index: differences need numbers. */
  function measurable() {
    const index = known().cube.variables.find((v) => v.kind === "index") ?? known().cube.variables.find((v) => v.kind === "band");
    return known().cube.variables.find((v) => v.name === store.now.v).kind === "preview" && index ? { v: index.name } : {};
  }

  /** What changed in the commit that is shown: its difference to its parent. */
  function whatChanged() {
    const commit = known().commits.find((c) => c.snapshot === known().cube.snapshot);
    if (!commit?.parent) return;
    set({ mode: "delta", b: { at: commit.parent }, ...(commit.month ? { month: commit.month } : {}), ...measurable() });
  }

  /** @param {"swipe" | "delta"} mode */
  const toggle = (mode) => {
    const on = store.now.mode === mode ? "" : mode;
    const picture = known().cube.variables.find((v) => v.kind === "preview" && v.name !== store.now.v);
    const before = known().cube.months[known().cube.months.indexOf(store.now.month) - 1];
    const usual = mode === "swipe" && picture ? { v: picture.name } : before ? { month: before } : null;
    set({ mode: on, b: on ? (store.now.b ?? usual) : null, ...(on === "delta" ? measurable() : {}) });
  };

  let playing = 0;
  /** Month after month, as fast as they are drawn. */
  async function play() {
    const mine = playing ? (playing = 0) : (playing = Date.now());
    by("play").setAttribute("aria-pressed", String(!!mine));
    by("play").textContent = mine ? "Stop" : "Play";
    while (mine && mine === playing) {
      const all = known().cube.months;
      set({ month: all[(all.indexOf(store.now.month) + 1) % all.length] });
      await chart.idle();
      await new Promise((done) => setTimeout(done, 600));
    }
  }

  const step = (by_) => () => {
    const all = known().cube.months;
    const k = all.indexOf(store.now.month) + by_;
    if (all[k]) set({ month: all[k] });
  };
  const stepCommit = (by_) => () => {
    const k = known().commits.findIndex((c) => c.snapshot === known().cube.snapshot) + by_;
    if (known().commits[k]) moveTo(known().commits[k]);
  };
  const centre = () => chart.map.getCenter().wrap().toArray();
  const flip = (key) => () => set({ [key]: !store.now[key] });

  by("month").addEventListener("input", (e) => set({ month: known().cube.months[e.target.value] }));
  by("commit").addEventListener("input", (e) => moveTo(known().commits[e.target.value]));
  by("what-changed").addEventListener("click", whatChanged);
  by("play").addEventListener("click", play);
  by("fold").addEventListener("click", () => {
    const folded = by("panel").classList.toggle("folded");
    by("fold").setAttribute("aria-expanded", String(!folded));
  });
  const tools = { swipe: () => toggle("swipe"), delta: () => toggle("delta"), xray: flip("xray"), gpu: flip("gpu"), export: openExport, help: () => by("help").showModal() };
  for (const [name, act] of Object.entries(tools)) by(`tool-${name}`).addEventListener("click", act);
  legendInputs(set);
  compareInputs(set, () => store.now);
  searchBox(() => entries(known().cube), ({ fit, ...patch }) => {
    if (fit) chart.fit(known().cube.bounds);
    if (patch.px) chart.go(patch.px);
    set({ ...patch, ...(patch.v ? { lo: null, hi: null, cm: null } : {}) });
  });
  keys({
    "/": ["search", () => by("query").focus()],
    "[": ["month before", step(-1)], "]": ["month after", step(1)],
    ",": ["commit before", stepCommit(-1)], ".": ["commit after", stepCommit(1)],
    P: ["pixel at the centre of the map", () => set({ px: centre() })],
    C: ["compare side by side", tools.swipe], D: ["difference", tools.delta],
    X: ["X-ray", tools.xray], G: ["GPU mode", tools.gpu], E: ["export", openExport],
    F: ["show the whole cube", () => chart.fit(known().cube.bounds)],
    "?": ["this list", tools.help],
    Escape: ["close the pixel's passport", closePassport],
  });
  chart.map.on("click", (e) => set({ px: e.lngLat.wrap().toArray() }));
  chart.map.on("moveend", () => {
    const { lng, lat } = chart.map.getCenter();
    set({ view: [lng, lat, chart.map.getZoom()] });
  });
}
