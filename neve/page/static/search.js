/**
 * The search: a combobox over the cube's variables, domains, formulas, months, tags and places.
 *
 * Belongs here: what can be found and how it is chosen. Does not belong here: what choosing does
 * (`app.js` hands in `choose`).
 *
 * @typedef {{group: string, title: string, aside: string, text: string, words: string, patch: any}} Entry
 */
import { by, make, say } from "./dom.js";
import { monthName, titleOf } from "./data.js";

const KINDS = { preview: "Pictures", band: "Bands", count: "Quality", valid_fraction: "Quality" };

/** @param {import("./data.js").Cube} cube @returns {Entry[]} everything that can be found */
export function entries(cube) {
  const variables = cube.variables.map((v) => {
    const group = KINDS[v.kind] ?? `Indices: ${v.domain}`;
    const aside = v.stored ? "" : v.kind === "index" ? "derived" : "";
    return { group, title: titleOf(v), aside, text: [v.kind === "preview" ? v.name : v.long_name, v.formula].filter(Boolean).join(" · "), patch: { v: v.name } };
  });
  const region = { group: "Region", title: cube.name, aside: cube.crs, text: "show the whole cube", patch: { fit: true } };
  const months = cube.months.map((m) => ({ group: "Months", title: monthName(m), aside: m, text: "", patch: { month: m } }));
  const refs = Object.entries({ ...cube.refs.branches, ...cube.refs.tags }).map(([name, id]) => ({
    group: "History", title: name, aside: id.slice(0, 7), text: name in cube.refs.tags ? "tag" : "branch", patch: { at: name },
  }));
  return [region, ...variables, ...months, ...refs].map((e) => ({
    ...e, words: `${e.group} ${e.title} ${e.aside} ${e.text}`.toLowerCase().replaceAll(" ", ""),
  }));
}

/** @param {Entry[]} all @param {string} query @returns {Entry[]} those that hold every word; names first */
export function find(all, query) {
  const place = query.match(/^\s*(-?\d+(?:\.\d+)?)\s*[,;\s]\s*(-?\d+(?:\.\d+)?)\s*$/);
  if (place) {
    const px = [Number(place[1]), Number(place[2])];
    return [{ group: "Place", title: `${px[0]}, ${px[1]}`, aside: "lon, lat", text: "open this pixel", words: "", patch: { px } }];
  }
  const whole = query.toLowerCase().replaceAll(" ", "");
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const rank = (e) => (e.title.toLowerCase() === whole ? 0 : e.title.toLowerCase().startsWith(whole) ? 1 : 2);
  const found = all.filter((e) => e.words.includes(whole) || words.every((w) => e.words.includes(w)));
  if (!whole) return found;
  const groups = [];
  for (const e of found.toSorted((a, b) => rank(a) - rank(b))) if (!groups.includes(e.group)) groups.push(e.group);
  return groups.flatMap((g) => found.filter((e) => e.group === g).toSorted((a, b) => rank(a) - rank(b)));
}

/** @param {() => Entry[]} all @param {(patch: any) => void} choose */
export function searchBox(all, choose) {
  const [input, list] = [by("query"), by("found")];
  /** @type {Entry[]} */ let shown = [];
  let active = -1;

  const close = () => {
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const take = (entry) => {
    input.value = "";
    close();
    choose(entry.patch);
  };
  const mark = (k) => {
    active = (k + shown.length) % shown.length;
    for (const item of list.querySelectorAll("[role=option]")) {
      const on = item.id === `found-${active}`;
      item.setAttribute("aria-selected", String(on));
      if (on) item.scrollIntoView({ block: "nearest" });
    }
    input.setAttribute("aria-activedescendant", `found-${active}`);
  };
  const open = () => {
    shown = find(all(), input.value).slice(0, 80);
    list.replaceChildren();
    let group = "";
    shown.forEach((entry, k) => {
      if (entry.group !== group) list.append(make("li", { role: "presentation" }, (group = entry.group)));
      list.append(make("li", {
        role: "option", id: `found-${k}`, "aria-selected": "false",
        onmousedown: (event) => { event.preventDefault(); take(entry); },
      }, make("span", {}, entry.title), make("small", {}, entry.aside), make("small", {}, entry.text)));
    });
    if (!shown.length) list.append(make("li", { role: "presentation" }, "nothing found"));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    active = -1;
    say(`${shown.length} found`);
  };
  input.addEventListener("input", open);
  input.addEventListener("focus", open);
  input.addEventListener("blur", () => {
    input.value = "";
    close();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") input.blur();
    if (event.key === "Enter" && shown.length) take(shown[Math.max(active, 0)]);
    if (!["ArrowDown", "ArrowUp"].includes(event.key) || !shown.length) return;
    event.preventDefault();
    mark(active < 0 && event.key === "ArrowUp" ? shown.length - 1 : active + (event.key === "ArrowDown" ? 1 : -1));
  });
}
