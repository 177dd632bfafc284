/**
 * The chosen variable: its names, formula, colours and limits.
 *
 * Belongs here: the layer's part of the panel. Does not belong here: tiles.
 */
import { NAMES, paint } from "./colormaps.js";
import { figure, titleOf } from "./data.js";
import { by, fill, make } from "./dom.js";
import { fewest } from "./state.js";

/** Colours that about one man in twelve cannot tell apart, and what is shown unless they are asked for. */
const SAFER = { RdYlGn: "BrBG", RdYlGn_r: "BrBG_r", RdGy: "PuOr", RdGy_r: "PuOr_r" };

/**
 * @param {import("./state.js").State} state @param {import("./data.js").Variable} variable
 * @returns {{lo: number, hi: number, colormap: string?}} what the tiles are coloured with; a picture has no colormap
 */
export function look(state, variable) {
  if (variable.kind === "preview") return { lo: 0, hi: variable.range[1], colormap: null };
  const [lo, hi] = [state.lo ?? variable.range[0], state.hi ?? variable.range[1]];
  const own = SAFER[variable.colormap] ?? variable.colormap ?? "viridis";
  return { lo, hi: hi > lo ? hi : lo + 1e-6, colormap: state.cm ?? own };
}

/** @param {import("./state.js").State} state @param {import("./data.js").Variable} variable */
export function drawLegend(state, variable) {
  by("variable").textContent = titleOf(variable);
  by("meaning").replaceChildren(
    [variable.name, titleOf(variable)].includes(variable.long_name) ? "" : variable.long_name,
    variable.kind === "index" ? ` · ${variable.domain}${variable.stored ? "" : ", derived on read"}` : "",
  );
  const reference = variable.reference?.startsWith("http") && make("a", { href: variable.reference, rel: "noreferrer" }, "source");
  by("formula").replaceChildren(variable.formula ?? "", reference ? " " : "", reference || "");
  by("formula").hidden = !variable.formula;
  const { lo, hi, colormap } = look(state, variable);
  by("scale").hidden = !colormap;
  if (!colormap) return;
  paint(by("ramp"), colormap);
  by("ramp").setAttribute("aria-label", `Colour scale ${colormap} from ${figure(lo)} to ${figure(hi)}`);
  for (const [id, value] of [["lo", lo], ["hi", hi]]) {
    if (document.activeElement !== by(id)) by(id).value = String(Number(value.toPrecision(6)));
    by(id).step = String(10 ** Math.floor(Math.log10((hi - lo) / 10)));
  }
  const known = NAMES.includes(colormap) ? NAMES : [colormap, ...NAMES];
  fill(by("colormap"), known.map((n) => [n, n]), colormap);
  by("reset").disabled = state.lo == null && state.hi == null && state.cm == null;
}

/** @param {number?} value of the chosen pixel, shown on the scale @param {{lo: number, hi: number}} look */
export function pin(value, { lo, hi }) {
  by("pin").hidden = value == null;
  if (value != null) by("pin").style.left = `${100 * Math.min(1, Math.max(0, (value - lo) / (hi - lo)))}%`;
}

/** @param {(patch: Partial<import("./state.js").State>) => void} set */
export function legendInputs(set) {
  for (const key of ["lo", "hi"]) {
    by(key).addEventListener("change", (event) => {
      const value = Number.parseFloat(event.target.value);
      set({ [key]: Number.isFinite(value) ? value : null });
    });
  }
  by("colormap").addEventListener("change", (event) => set({ cm: event.target.value }));
  by("reset").addEventListener("click", () => set({ lo: null, hi: null, cm: null }));
  by("low").addEventListener("change", (event) => set({ low: fewest(Number.parseInt(event.target.value) || 0) }));
}
