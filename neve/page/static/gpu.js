/**
 * GPU mode: chunks straight from Zarr into the graphics card, so that colours and limits change at once.
 *
 * Belongs here: @carbonplan/zarr-layer, which is loaded when it is first asked for. Does not
 * belong here: tiles.
 */
import { colours } from "./colormaps.js";

const ID = "gpu";

/** @param {string} crs EPSG code @returns {string?} for proj4; null: not known here */
export function proj4Of(crs) {
  const utm = crs.match(/^EPSG:32([67])(\d\d)$/);
  return utm ? `+proj=utm +zone=${Number(utm[2])} ${utm[1] === "7" ? "+south " : ""}+datum=WGS84 +units=m +no_defs` : null;
}

/**
 * The cube's keys over HTTP, with packing taken out of the metadata: zarr-layer compares a float32
 * with the fill value after unpacking and misses it. So values and limits stay as they are stored.
 */
class Raw {
  /** @param {string} url of the root */
  constructor(url) {
    this.url = url;
  }

  /** @param {string} key with a leading slash @returns {Promise<Uint8Array | undefined>} */
  async get(key, { signal } = {}) {
    const answer = await fetch(this.url + key, { signal });
    if (answer.status === 404) return undefined;
    if (!answer.ok) throw new Error(`${key}: ${answer.status}`);
    if (!key.endsWith("zarr.json")) return new Uint8Array(await answer.arrayBuffer());
    const metadata = await answer.json();
    for (const packing of ["scale_factor", "add_offset", "_FillValue"]) delete metadata.attributes?.[packing];
    return new TextEncoder().encode(JSON.stringify(metadata));
  }
}

/** The layer of one map. */
export class Gpu {
  #key = "";
  #layer = null;
  /** Of the stored values. */ #unit = 1;

  /** @param {import("./map.js").Chart} chart */
  constructor(chart) {
    this.chart = chart;
  }

  /**
   * @param {import("./data.js").Cube} cube @param {import("./data.js").Variable} variable
   * @returns {string} why this cannot be shown; empty if it can
   */
  refuses(cube, variable) {
    if (!variable.stored || variable.kind === "preview") return `${variable.name} is not stored as it is shown`;
    return cube.crs === "EPSG:4326" || proj4Of(cube.crs) ? "" : `no projection for ${cube.crs}`;
  }

  hide() {
    if (this.#layer) this.chart.map.removeLayer(ID);
    this.#layer = null;
    this.#key = "";
  }

  /**
   * @param {import("./data.js").Cube} cube @param {import("./data.js").Variable} variable
   * @param {string} month @param {{lo: number, hi: number, colormap: string}} look
   */
  async show(cube, variable, month, { lo, hi, colormap }) {
    const key = `${cube.snapshot}/${variable.name}`;
    const selector = { time: { selected: cube.months.indexOf(month), type: "index" } };
    if (key === this.#key && this.#layer) {
      this.#layer.setClim([lo / this.#unit, hi / this.#unit]);
      this.#layer.setColormap(colours(colormap));
      await this.#layer.setSelector(selector);
      return;
    }
    this.#key = key;
    const source = new URL(`zarr/${cube.snapshot}`, document.baseURI).href;
    const json = (path) => fetch(`${source}/${path}`).then((a) => a.json());
    const [{ ZarrLayer, codecRegistry }, { register }, root, array] = await Promise.all([
      import("@carbonplan/zarr-layer"), import("./codecs.js"), json("zarr.json"), json(`${cube.levels[0].name}/${variable.name}/zarr.json`),
    ]);
    if (this.#key !== key) return;
    register(codecRegistry);
    this.#unit = array.attributes.scale_factor ?? 1;
    const [vertical, horizontal] = root.attributes["spatial:dimensions"];
    if (this.#layer) this.chart.map.removeLayer(ID);
    this.#layer = new ZarrLayer({
      id: ID, store: new Raw(source), variable: variable.name, selector, clim: [lo / this.#unit, hi / this.#unit], colormap: colours(colormap), zarrVersion: 3,
      bounds: root.attributes["spatial:bbox"], latIsAscending: false, renderingMode: "2d",
      spatialDimensions: { lat: vertical, lon: horizontal },
      ...(cube.crs === "EPSG:4326" ? { crs: cube.crs } : { proj4: proj4Of(cube.crs) }),
    });
    this.chart.map.addLayer(this.#layer, "region");
  }
}
