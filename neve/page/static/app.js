/**
 * The page: state in, state out. Everything that is shown follows from the state and the server's words.
 *
 * Belongs here: which part hears of which change. Does not belong here: how a part looks.
 */
import { drawChanges, drawCompare, hatches, otherOf, Swipe, templates } from "./compare.js";
import { branchOf, controls } from "./controls.js";
import { cube as fetchCube, history, monthName, months as fetchMonths, short, tiles } from "./data.js";
import { busy, by, say } from "./dom.js";
import { drawLegend, look, pin } from "./legend.js";
import { begun, drawBegun, follow } from "./live.js";
import { box, Chart, polygon } from "./map.js";
import { passport } from "./passport.js";
import { drawCommits, drawMonths } from "./scrubbers.js";
import { Store } from "./state.js";
import { drawBlocks, drawTraffic } from "./xray.js";

const store = new Store();
const chart = new Chart(by("map"));
const swipe = new Swipe(chart, (split) => store.set({ split }));
const pixels = passport({ get: () => store.now, set: (patch) => store.set(patch), link: () => store.link() });

/** @type {import("./controls.js").Known} */ let known;
/** Comes when it is first asked for. @type {Promise<import("./gpu.js").Gpu>?} */ let loading = null;

/** @param {string} text shown over the map; empty: nothing is wrong */
function notice(text) {
  by("notice").textContent = text;
  by("notice").hidden = !text;
  if (text) say(text);
}

/** Asks for all about `state.at`; the history is that of the branch, wherever on it we are. */
async function load(at) {
  const cube = await fetchCube(at);
  const [months, commits] = await Promise.all([fetchMonths(cube.snapshot, cube.months), history(branchOf(cube.refs))]);
  // The first commit of a repository is empty, not even a cube.
  const real = commits.filter((c) => c.parent).map((c, k, all) => (k === all.length - 1 ? { ...c, parent: null } : c));
  const refs = { ...cube.refs.branches, ...cube.refs.tags };
  known = { cube, months, commits: real.toReversed(), refs, begun: null };
  document.title = `${cube.name} · neve`;
  by("region").textContent = cube.name;
  chart.shapes("region", [polygon(box(cube.bounds))]);
}

/** A month and a variable that this snapshot has, near to those that were asked for. */
function settled({ month, v }) {
  const { cube, months } = known;
  const built = months.filter((m) => m.valid_fraction != null).map((m) => m.month);
  const there = built.length ? built : cube.months;
  const nearest = cube.months.includes(month) ? month : (there.findLast((m) => m <= (month || "9999")) ?? there[0] ?? "");
  const first = cube.variables.find((x) => x.kind === "preview") ?? cube.variables.find((x) => x.kind === "index") ?? cube.variables[0];
  return { month: nearest, v: cube.variables.some((x) => x.name === v) ? v : first.name };
}

const variable = () => known.cube.variables.find((v) => v.name === store.now.v);
const baseTiles = (state = store.now) => tiles({ ref: known.cube.snapshot, month: state.month, variable: state.v, ...look(state, variable()) });
const context = () => ({ snapshot: known.cube.snapshot, state: store.now, ...known });

/** The layers of tiles, and all else that lies on the map. @param {() => boolean} late a newer state is being drawn */
async function drawMap(late) {
  const state = store.now;
  const { cube } = known;
  if (state.gpu) loading ??= import("./gpu.js").then(({ Gpu }) => new Gpu(chart)).catch((error) => { loading = null; throw error; });
  const gpu = await loading;
  if (late()) return undefined;
  if (!state.month) {
    for (const name of ["cube", "low"]) chart.tiles(name, null);
    gpu?.hide();
    return notice(`No month yet in ${cube.name} at ${short(cube.snapshot)}. Move along the history.`);
  }
  notice("");
  const both = state.mode ? await templates(context()) : null;
  if (late()) return undefined;
  const delta = state.mode === "delta" ? both?.delta : null;
  by("compare-note").textContent = both?.why ?? "";
  const refused = state.gpu ? gpu.refuses(cube, variable()) : "off";
  if (state.gpu && refused) say(`Tiles: ${refused}`);
  const wanted = refused || delta;
  chart.tiles("cube", wanted ? (delta ?? `cube://${baseTiles()}`) : null, { bounds: cube.bounds });
  if (wanted) gpu?.hide();
  else await gpu.show(cube, variable(), state.month, look(state, variable()));
  if (late()) return undefined;
  chart.tiles("low", hatches(cube, state.month, state.low), { bounds: cube.bounds });
  await swipe.show(state.mode === "swipe" ? both.template : null, both?.low, state.split, both?.labels ?? ["", ""], cube.bounds);
  await drawBlocks(chart, cube.snapshot, state.month, state.xray);
  const other = state.mode ? otherOf(state, known.refs).at : null;
  const order = known.commits.map((c) => c.snapshot);
  const [from, to] = order.indexOf(other) > order.indexOf(cube.snapshot) ? [cube.snapshot, other] : [other, cube.snapshot];
  if (!late()) await drawChanges(chart, cube.levels, from, to);
  return undefined;
}

/** The panels. */
function drawPanels() {
  const state = store.now;
  const { cube, months, commits, refs } = known;
  drawLegend(state, variable());
  drawMonths(months, state.month, state.low);
  const names = Object.fromEntries(Object.entries(refs).map(([name, id]) => [id, name]));
  drawCommits(commits, commits.findIndex((c) => c.snapshot === cube.snapshot), state.month, names);
  if (document.activeElement !== by("low")) by("low").value = String(state.low);
  for (const [tool, on] of Object.entries({ swipe: state.mode === "swipe", delta: state.mode === "delta", xray: state.xray, gpu: state.gpu })) {
    by(`tool-${tool}`).setAttribute("aria-pressed", String(on));
  }
  drawCompare(context(), (patch) => store.set(patch));
}

let turn = 0;
let drawn = false;
/** @param {Set<string>} changed keys of the state */
async function draw(changed) {
  const mine = ++turn;
  document.body.dataset.drawing = "";
  try {
    const before = known.cube.snapshot;
    if (changed.has("at")) {
      await busy(load(store.now.at));
      if (mine !== turn) return;
    }
    const fit = settled(store.now);
    if (fit.month !== store.now.month || fit.v !== store.now.v) return store.set(fit);
    drawPanels();
    if (["at", "month", "v"].some((k) => changed.has(k))) {
      say(`${store.now.v}, ${store.now.month ? monthName(store.now.month) : "no month"}, ${store.now.at}`);
    }
    chart.mark(store.now.px);
    if (changed.size === 1 && changed.has("view") && drawn) return;
    const other = known.cube.snapshot !== before || ["month", "v", "px", "low"].some((k) => changed.has(k));
    const value = other ? pixels.show(known.cube.snapshot, variable(), known.cube, known.commits) : null;
    await drawMap(() => mine !== turn);
    drawn = true;
    if (value) pin(await value, look(store.now, variable()));
    known.begun ??= await begun(known);
    if (mine === turn) drawBegun(known.begun, store.now.at, (patch) => store.set(patch));
  } catch (error) {
    notice(String(error.message ?? error));
  } finally {
    if (mine === turn) delete document.body.dataset.drawing;
  }
}

/** @returns {() => Promise<void>} opens the time-lapse's dialog; its module comes with the first time */
function exporting() {
  const subject = () => ({
    cube: known.cube, months: known.months.filter((m) => m.valid_fraction != null),
    look: look(store.now, variable()), variable: store.now.v,
  });
  let before = "";
  const show = async (month) => {
    before ||= store.now.month;
    store.set({ month });
    while ("drawing" in document.body.dataset) await new Promise((done) => setTimeout(done, 30));
    await chart.idle();
  };
  const restore = async () => {
    if (before) await show(before);
    before = "";
  };
  /** @type {Promise<() => void>?} */ let opening = null;
  return async () => {
    opening ??= import("./timelapse.js").then(({ timelapse }) => timelapse(chart, subject, show, restore));
    (await opening)();
  };
}

async function start() {
  await chart.ready;
  await busy(load(store.now.at)).catch((error) => {
    if (store.now.at === "main") throw error;
    store.set({ at: "main" });
    return load("main");
  });
  store.now = { ...store.now, ...settled(store.now) };
  if (store.now.view) chart.map.jumpTo({ center: store.now.view.slice(0, 2), zoom: store.now.view[2] });
  else chart.fit(known.cube.bounds, false);
  const openExport = exporting();
  controls({ store, chart, known: () => known, openExport, closePassport: pixels.close });
  chart.map.on("idle", () => drawTraffic(chart, store.now.xray && store.now.month && !store.now.gpu ? baseTiles() : null));
  chart.map.on("error", ({ error }) => error?.name !== "AbortError" && notice(`The map: ${error?.message ?? error}`));
  store.listen((state, changed) => {
    if (changed.has("view") && changed.size > 1) chart.map.jumpTo({ center: state.view?.slice(0, 2) ?? chart.map.getCenter(), zoom: state.view?.[2] });
    draw(changed);
  });
  if (innerWidth <= 720) by("fold").click();
  await draw(new Set(["month", "v", "px"]));
  chart.idle().then(() => performance.mark("idle"));
  follow({ store, known: () => known, branch: () => branchOf(known.cube.refs), reload: () => draw(new Set(["at"])) });
  document.body.dataset.ready = "yes";
}

start().catch((error) => notice(`This page needs its server: ${error.message ?? error}`));
Object.assign(globalThis, { neve: { store, chart } });
