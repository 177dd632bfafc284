/**
 * The map itself: land behind, layers of tiles that are swapped without a flash, outlines above.
 *
 * Belongs here: MapLibre. Does not belong here: the state, the server's words.
 */
import * as maplibregl from "maplibre-gl";
import { land } from "./land.js";

const ATTRIBUTION = "Contains modified Copernicus Sentinel data · Made with Natural Earth";
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const EMPTY = { type: "FeatureCollection", features: [] };

const STYLE = {
  version: 8,
  sources: { land: { type: "geojson", data: EMPTY }, region: { type: "geojson", data: EMPTY } },
  layers: [
    { id: "sea", type: "background", paint: { "background-color": "#d3e4ec" } },
    { id: "land", type: "fill", source: "land", paint: { "fill-color": "#f2f6f7" } },
    { id: "shore", type: "line", source: "land", paint: { "line-color": "#a3c1cf", "line-width": 0.8 } },
    { id: "region", type: "line", source: "region", paint: { "line-color": "#0f3a4d", "line-width": 1.2, "line-opacity": 0.55 } },
  ],
};

/** The same land for every map of the page. @type {Promise<any>?} */
let shores = null;
const fetchLand = () => (shores ??= fetch("vendor/world-atlas/land-50m.json").then((a) => a.json()).then(land));

/** One map with named layers. */
export class Chart {
  /** name → id of the layer that is shown for it now @type {Map<string, string>} */
  #shown = new Map();
  #count = 0;

  /** @param {HTMLElement} container @param {boolean} plain without controls and without input */
  constructor(container, plain = false) {
    this.map = new maplibregl.Map({
      container, style: STYLE, attributionControl: false, interactive: !plain, maxPitch: 0, dragRotate: false,
      pitchWithRotate: false, fadeDuration: 0, maxZoom: 18, renderWorldCopies: true,
      canvasContextAttributes: { preserveDrawingBuffer: true },
    });
    this.map.touchZoomRotate.disableRotation();
    if (!plain) {
      this.map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "top-right");
      this.map.addControl(new maplibregl.ScaleControl({ maxWidth: 110 }), "bottom-left");
      this.map.addControl(new maplibregl.AttributionControl({ compact: false, customAttribution: ATTRIBUTION }));
      this.map.getCanvas().setAttribute("aria-label", "Map");
    }
    this.ready = new Promise((done) => this.map.once("load", done));
    this.ready.then(fetchLand).then((data) => this.map.getSource("land").setData(data));
  }

  /** @param {number[]} bounds west, south, east, north; east may be less than west */
  fit([west, south, east, north], animate = true) {
    const phone = innerWidth <= 720;
    const padding = phone
      ? { left: 14, right: 14, top: 70, bottom: 190 }
      : { left: 370, right: 40, top: 30, bottom: 160 };
    const box = [[west, south], [east < west ? east + 360 : east, north]];
    this.map.fitBounds(box, { padding, animate: animate && !calm.matches, duration: 700 });
  }

  /** @param {[number, number]} center */
  go(center, zoom = this.map.getZoom()) {
    this.map[calm.matches ? "jumpTo" : "easeTo"]({ center, zoom, duration: 600 });
  }

  /**
   * Shows tiles in the place of what this name showed; the old stay until the new are there.
   * @param {string} name @param {string?} url template, null: nothing
   * @param {{bounds?: number[], under?: string, opacity?: number}} options
   */
  tiles(name, url, { bounds, under = "region", opacity = 1 } = {}) {
    const key = url && `${url}@${opacity}`;
    const id = this.#shown.get(name);
    if (id && this.map.getLayer(id)?.metadata?.key === key) return;
    if (!url) {
      this.#shown.delete(name);
      return this.#drop(name);
    }
    const next = `${name}-${++this.#count}`;
    const [west, south, east, north] = bounds ?? [-180, -85, 180, 85];
    this.map.addSource(next, {
      type: "raster", tiles: [url], tileSize: 256, maxzoom: 18,
      bounds: east < west || east > 180 ? [-180, south, 180, north] : [west, south, east, north],
    });
    this.map.addLayer({
      id: next, type: "raster", source: next, metadata: { key },
      paint: { "raster-resampling": "nearest", "raster-fade-duration": 0, "raster-opacity": opacity },
    }, under);
    this.#shown.set(name, next);
    const settle = () => {
      if (this.#shown.get(name) !== next) this.map.off("sourcedata", settle);
      else if (this.map.isSourceLoaded(next)) {
        this.map.off("sourcedata", settle);
        this.#drop(name, next);
      }
    };
    this.map.on("sourcedata", settle);
  }

  #drop(name, but = "") {
    for (const { id } of this.map.getStyle().layers) {
      if (id === but || !id.startsWith(`${name}-`) || !/^\d+$/.test(id.slice(name.length + 1))) continue;
      this.map.removeLayer(id);
      this.map.removeSource(id);
    }
  }

  /** @param {string} name of a source @param {any[]} features GeoJSON @param {any[]} layers made with the first features */
  shapes(name, features, layers = []) {
    const data = { type: "FeatureCollection", features };
    if (this.map.getSource(name)) return this.map.getSource(name).setData(data);
    if (!features.length) return undefined;
    this.map.addSource(name, { type: "geojson", data });
    layers.forEach((layer, k) => this.map.addLayer({ id: `${name}.${k}`, source: name, ...layer }));
    return undefined;
  }

  /** @param {[number, number]?} place of the mark, null: none */
  mark(place) {
    this.marker?.remove();
    if (!place) return;
    const element = document.createElement("div");
    element.innerHTML = '<svg width="26" height="26" viewBox="0 0 26 26"><circle cx="13" cy="13" r="8" fill="none" stroke="#fff" stroke-width="5"/><circle cx="13" cy="13" r="8" fill="none" stroke="#c2560c" stroke-width="2.5"/></svg>';
    element.style.pointerEvents = "none";
    this.marker = new maplibregl.Marker({ element }).setLngLat(place).addTo(this.map);
    element.removeAttribute("tabindex");
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", "the chosen pixel");
  }

  /** @returns {Promise<void>} when everything in view is drawn */
  async idle() {
    await this.ready;
    this.map.triggerRepaint();
    await new Promise((done) => this.map.once("idle", done));
  }
}

/** @param {number[][]} ring closed, longitude and latitude @param {any} properties */
export const polygon = (ring, properties = {}) => ({
  type: "Feature", properties, geometry: { type: "Polygon", coordinates: [ring] },
});

/** @param {number[]} bounds @returns {number[][]} its ring */
export const box = ([w, s, e, n]) => {
  const right = e < w ? e + 360 : e;
  return [[w, n], [right, n], [right, s], [w, s], [w, n]];
};
