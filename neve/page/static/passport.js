/**
 * The pixel passport: a value, how many observations stand behind it, and where it comes from.
 *
 * Belongs here: the panel of one pixel. Does not belong here: drawing its series (`plot.js`).
 */
import { ask, figure, monthName, short } from "./data.js";
import { busy, by, copies, make, save, say } from "./dom.js";
import { csv, plot, table } from "./plot.js";

/**
 * @param {import("./state.js").State} state with a pixel @param {string} ref snapshot id
 * @param {import("./data.js").Variable} variable
 */
const queryOf = ({ px, month }, ref, variable) => ({
  at: ref, month, lon: px[0].toFixed(6), lat: px[1].toFixed(6), variable: variable.name,
});

/** @param {any} pixel @param {any} query @param {import("./data.js").Cube} cube @returns {string} Python that reads the same value; what is not stored needs neve */
export function xarrayCode(pixel, query, cube) {
  const [y, x] = cube.crs === "EPSG:4326" ? ["latitude", "longitude"] : ["y", "x"];
  const place = `.sel(time="${query.month}-01").isel(${y}=${pixel.row}, ${x}=${pixel.col}).load()`;
  if (!cube.variables.find((v) => v.name === query.variable)?.stored) {
    return [
      "import neve",
      `level = neve.open("<store>", at="${query.at}")["${pixel.level}"].to_dataset()`,
      `level[["${query.variable}", "count"]]${place}`,
    ].join("\n");
  }
  return [
    "import icechunk, xarray as xr",
    'repository = icechunk.Repository.open(icechunk.local_filesystem_storage("<store>"))',
    `session = repository.readonly_session(snapshot_id="${query.at}")`,
    `level = xr.open_zarr(session.store, group="${pixel.level}", zarr_format=3, consolidated=False)`,
    `level[["${query.variable}", "count"]]${place}`,
  ].join("\n");
}

/** @param {{get: () => import("./state.js").State, set: (patch: any) => void, link: () => string}} store */
export function passport(store) {
  let turn = 0;
  const close = () => {
    turn++;
    store.set({ px: null });
  };
  by("close-passport").addEventListener("click", close);

  /**
   * @param {string} ref snapshot id @param {import("./data.js").Variable} variable
   * @param {import("./data.js").Cube} cube @param {import("./data.js").Commit[]} commits
   * @returns {Promise<number?>} the value
   */
  async function show(ref, variable, cube, commits) {
    const state = store.get();
    by("passport").hidden = !state.px || !state.month;
    if (!state.px || !state.month) return null;
    const mine = ++turn;
    const asked = variable.kind === "preview" ? (cube.variables.find((v) => v.kind === "index") ?? cube.variables[0]) : variable;
    const query = queryOf(state, ref, asked);
    let pixel;
    try {
      pixel = await busy(ask("pixel", query));
    } catch (error) {
      if (mine === turn) by("passport-body").replaceChildren(make("p", {}, String(error.message)));
      return null;
    }
    if (mine !== turn) return null;
    const series = pixel.series ?? [];
    const place = make("div", { id: "plot" });
    by("passport-title").textContent = `${asked.name}, ${monthName(state.month)}`;
    by("passport-body").replaceChildren(
      ...reading(pixel, asked, state.low), place, twin(series, asked.name),
      origin(pixel, state, commits), copying(pixel, query, cube, store),
    );
    plot(place, series, { name: asked.name, month: state.month, low: state.low, choose: (month) => store.set({ month }) });
    say(`${asked.name} ${figure(pixel.value)} from ${pixel.count ?? "an unknown number of"} observations, ${monthName(state.month)}`);
    return asked === variable ? pixel.value : null;
  }
  return { show, close };
}

function reading(pixel, variable, low) {
  const n = pixel.count;
  const text = n == null ? "n unknown" : `n = ${Number.isInteger(n) ? n : n.toFixed(1)} clear observation${n === 1 ? "" : "s"}`;
  const unit = variable.units && variable.units !== "1" ? ` ${variable.units}` : "";
  const line = make("p", { class: "reading" }, make("strong", {}, figure(pixel.value) + unit), make("span", {}, text));
  if (n == null || n >= low) return [line];
  return [line, make("p", { class: "warning" }, make("span", { class: "swatch hatch" }), `Few: under ${low} observations`)];
}

const twin = (series, name) => make("details", {},
  make("summary", {}, "Table"), table(series, name),
  make("button", { class: "plain", onclick: () => save(csv(series, name), `${name}.csv`) }, "Save as CSV"));

function origin(pixel, state, commits) {
  // `upto`: the commit was tidied away, as early as this one or before.
  const id = pixel.snapshot ?? pixel.upto;
  const commit = pixel.upto ? null : commits.find((c) => c.snapshot === id);
  const scenes = pixel.scenes ?? [];
  const rows = {
    "lon, lat": state.px.map((n) => n.toFixed(5)).join(", "),
    "level, row, column": `${pixel.level}, ${pixel.row}, ${pixel.col}`,
    "block, chunk": `${pixel.block ? `${pixel.block.row}-${pixel.block.col}` : "–"}, ${pixel.chunk.join("/")}`,
    commit: id ? `${short(id)}${pixel.upto ? " or before" : ""}${commit ? ` · ${new Date(commit.written_at).toLocaleDateString("en-GB", { dateStyle: "medium" })}` : ""}` : "–",
    run: pixel.run_id ?? "–",
    ...(commit?.code_version ? { code: commit.code_version } : {}),
  };
  const list = make("dl", {}, ...Object.entries(rows).flatMap(([k, v]) => [make("dt", {}, k), make("dd", {}, v)]));
  const behind = make("details", {}, make("summary", {}, `${scenes.length} scene${scenes.length === 1 ? "" : "s"} behind it`),
    make("ul", {}, ...scenes.map((s) => make("li", {}, s))));
  return make("div", {}, list, ...(pixel.snapshot || !id ? [behind] : []));
}

function copying(pixel, query, cube, store) {
  const button = (label, text) => {
    const element = make("button", {}, label);
    copies(element, text);
    return element;
  };
  const url = `${new URL("api/pixel", document.baseURI)}?${new URLSearchParams(query)}`;
  return make("div", { class: "buttons", role: "group", "aria-label": "Copy as" },
    button("xarray", () => xarrayCode(pixel, query, cube)),
    button("curl", () => `curl '${url}'`),
    button("permalink", () => store.link()));
}
