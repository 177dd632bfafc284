/**
 * Two states beside or against each other: the swipe, the difference, and what changed between commits.
 *
 * Belongs here: the second map and the panel that chooses its state. Does not belong here: the
 * first map's layer.
 */
import { paint } from "./colormaps.js";
import { cubeOf, diff, figure, monthName, short, tiles, titleOf } from "./data.js";
import { busy, by, fill, make, renew, say } from "./dom.js";
import { look } from "./legend.js";
import { Chart, polygon } from "./map.js";
import { countLimits, grey, wideGrey } from "./tiles.js";

const SAME = "";

/** The second map, over the first from the divider on; made when it is first needed. */
export class Swipe {
  /** @param {Chart} chart the first map @param {(split: number) => void} moved */
  constructor(chart, moved) {
    this.chart = chart;
    /** @type {Chart?} */ this.other = null;
    const drag = (event) => moved(Math.round(Math.min(98, Math.max(2, (100 * event.clientX) / innerWidth))));
    by("divider").addEventListener("pointerdown", (event) => {
      event.preventDefault();
      by("divider").setPointerCapture(event.pointerId);
      by("divider").onpointermove = drag;
    });
    by("divider").addEventListener("pointerup", () => (by("divider").onpointermove = null));
    by("split").addEventListener("input", (event) => moved(Number(event.target.value)));
  }

  /** @param {string?} template of the other side, null: no swipe @param {string?} low its hatches @param {number} split @param {[string, string]} labels @param {number[]} bounds */
  async show(template, low, split, labels, bounds) {
    by("swipe").hidden = !template;
    if (!template) return;
    by("swipe").style.setProperty("--at", `${split}%`);
    by("split").value = String(split);
    [by("label-a").textContent, by("label-b").textContent] = labels;
    if (!this.other) {
      this.other = new Chart(by("other-map"), true);
      const follow = () => this.other.map.jumpTo({ center: this.chart.map.getCenter(), zoom: this.chart.map.getZoom() });
      this.chart.map.on("move", follow);
      follow();
    }
    await this.other.ready;
    this.other.map.resize();
    this.other.tiles("cube", `cube://${template}`, { bounds });
    this.other.tiles("low", low, { bounds });
  }
}

/**
 * @param {import("./state.js").State} state @param {Record<string, string>} refs name → snapshot
 * @returns {import("./state.js").View} the other state, whole
 */
export function otherOf(state, refs) {
  const b = state.b ?? {};
  return { at: refs[b.at ?? state.at] ?? b.at ?? state.at, month: b.month ?? state.month, v: b.v ?? state.v };
}

/** @param {{snapshot: string, state: any, cube: any, commits: any[], refs: Record<string, string>}} shown @returns {Promise<{template: string?, low: string?, delta: string?, labels: [string, string], why: string}>} `why` something is missing */
export async function templates({ snapshot, state, cube, refs }) {
  const other = otherOf(state, refs);
  const there = await cubeOf(other.at);
  const variable = there.variables.find((v) => v.name === other.v) ?? cube.variables.find((v) => v.name === state.v);
  const mine = cube.variables.find((v) => v.name === state.v);
  const own = variable.name === mine.name ? look(state, mine) : look({ ...state, lo: null, hi: null, cm: null }, variable);
  const template = there.months.includes(other.month)
    ? tiles({ ref: other.at, month: other.month, variable: variable.name, ...own }) : null;
  const { lo, hi, colormap } = look(state, mine);
  const base = tiles({ ref: snapshot, month: state.month, variable: mine.name, lo, hi, colormap });
  const against = colormap && template && tiles({ ref: other.at, month: other.month, variable: mine.name, lo, hi, colormap });
  const delta = against ? `delta://${wideGrey(against, lo, hi)}|${wideGrey(base, lo, hi)}` : null;
  const low = template && hatches(there, other.month, state.low);
  const words = (view, v) => [titleOf(v), monthName(view.month, "short"), short(view.at)];
  const [left, right] = [words({ at: snapshot, month: state.month }, mine), words(other, variable)];
  const said = (own, its) => own.filter((word, k) => word !== its[k]).join(" · ") || "the same";
  const why = !template ? `${monthName(other.month)} is not in ${short(other.at)}: all of it is new` : !colormap ? "A picture has no difference: choose a band or an index." : "";
  return { template, low, delta, labels: [said(left, right), said(right, left)], why: state.mode === "delta" || !template ? why : "" };
}

/** @param {import("./data.js").Cube} cube @param {string} month @param {number} low @returns {string?} template of the hatches */
export function hatches(cube, month, low) {
  if (!low || !cube.variables.some((v) => v.kind === "count")) return null;
  const counts = tiles({ ref: cube.snapshot, month, variable: "count", lo: 0, hi: 1, colormap: null });
  return `hatch://${low}|${grey(counts, ...countLimits)}`;
}

/** @param {any} shown as for `templates` @param {(patch: any) => void} set */
export function drawCompare({ snapshot, state, cube, commits, refs }, set) {
  by("compare").hidden = !state.mode;
  if (!state.mode) return;
  const b = state.b ?? {};
  const names = Object.fromEntries(Object.entries(refs).map(([name, id]) => [id, name]));
  fill(by("b-at"), [[SAME, "the same"], ...commits.toReversed().map((c) => [c.snapshot, `${names[c.snapshot] ?? short(c.snapshot)} ${c.month ?? ""}`])], b.at ? (refs[b.at] ?? b.at) : SAME);
  fill(by("b-month"), [[SAME, "the same"], ...cube.months.map((m) => [m, monthName(m, "short")])], b.month ?? SAME);
  fill(by("b-v"), [[SAME, "the same"], ...cube.variables.map((v) => [v.name, titleOf(v)])], b.v ?? SAME);
  by("b-v-label").hidden = state.mode === "delta";
  const before = cube.months[cube.months.indexOf(state.month) - 1];
  const parent = commits.find((c) => c.snapshot === snapshot)?.parent;
  const picture = cube.variables.find((v) => v.kind === "preview" && v.name !== state.v);
  const usual = [
    before && ["month before", { month: before }],
    parent && ["commit before", { at: parent }],
    picture && state.mode === "swipe" && [titleOf(picture), { v: picture.name }],
  ].filter(Boolean);
  renew(by("presets"), usual.map(([text, other]) => make("button", { onclick: () => set({ b: other }) }, text)));
  const { lo, hi, colormap } = look(state, cube.variables.find((v) => v.name === state.v));
  by("delta-scale").hidden = state.mode !== "delta" || !colormap;
  paint(by("delta-ramp"), "PuOr");
  const half = (hi - lo) / 2;
  [by("delta-lo").textContent, by("delta-hi").textContent] = [figure(-half), `+${figure(half)}`];
  by("delta-ramp").setAttribute("aria-label", `Difference from ${figure(-half)} to ${figure(half)}`);
}

/** @param {(patch: any) => void} set @param {() => import("./state.js").State} get */
export function compareInputs(set, get) {
  for (const key of ["at", "month", "v"]) {
    by(`b-${key}`).addEventListener("change", (event) => {
      const b = { ...get().b };
      if (event.target.value === SAME) delete b[key];
      else b[key] = event.target.value;
      set({ b: Object.keys(b).length ? b : null });
    });
  }
}

/** Draws and lists the chunks in which two snapshots differ; none where there is nothing to compare.
 * @param {Chart} chart @param {import("./data.js").Level[]} levels finest first @param {string?} from @param {string} to */
export async function drawChanges(chart, levels, from, to) {
  if (!from || from === to) {
    chart.shapes("changes", []);
    by("changes").replaceChildren();
    return;
  }
  const found = await busy(diff(from, to));
  const touched = levels.map(({ name }) => [name, found.outlines[name] ?? []]);
  const outlines = touched.find(([, rings]) => rings.length)?.[1] ?? [];
  chart.shapes("changes", outlines.map((ring) => polygon([...ring, ring[0]])), [
    { type: "line", paint: { "line-color": "#fff", "line-width": 4, "line-opacity": 0.8 } },
    { type: "line", paint: { "line-color": "#c2560c", "line-width": 1.6, "line-dasharray": [3, 2] } },
  ]);
  const months = found.months.map((m) => monthName(m)).join(", ");
  by("changes").replaceChildren(
    make("p", {}, months ? `${months}: ${found.variables.length} variables` : "No chunk differs."),
    make("table", {}, make("caption", { class: "hidden" }, "Touched chunks per level"),
      make("tbody", {}, ...touched.map(([name, rings]) => make("tr", {}, make("th", { scope: "row" }, `level ${name}`), make("td", {}, `${rings.length} chunks`))))),
  );
  say(`${outlines.length} chunks differ`);
}
