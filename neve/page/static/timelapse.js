/**
 * Time-lapse: what the map shows, once per month, with the words without which a picture lies.
 *
 * Belongs here: frames, the strip, the film and the GIF. Does not belong here: moving the map's month (handed in).
 */
import { colours } from "./colormaps.js";
import { figure, monthName, percent, short } from "./data.js";
import { by, make, say } from "./dom.js";

const WIDTH = 360;
const FOOT = 46;
const CREDIT = "Contains modified Copernicus Sentinel data · Natural Earth";
const FILMS = ["video/mp4", "video/webm"];
const FRAME_MILLISECONDS = 700;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * @typedef {{month: string, picture: HTMLCanvasElement, facts: string, metres: number}} Frame metres per pixel
 * @typedef {{cube: import("./data.js").Cube, months: import("./data.js").Month[], look: {lo: number, hi: number, colormap: string?}, variable: string}} Subject
 */

/**
 * @param {import("./map.js").Chart} chart @param {Subject} subject
 * @param {(month: string) => Promise<void>} show resolves when the month is drawn
 * @param {(done: number, all: number) => void} progress @returns {Promise<Frame[]>}
 */
async function frames(chart, { cube, months }, show, progress) {
  const [w, s, e, n] = cube.bounds;
  const out = [];
  for (const { month, valid_fraction: valid, median_count: count } of months) {
    await show(month);
    const canvas = chart.map.getCanvas();
    const scale = canvas.width / canvas.clientWidth;
    const [top, bottom] = [chart.map.project([w, n]), chart.map.project([e < w ? e + 360 : e, s])];
    const x = Math.max(0, top.x), y = Math.max(0, top.y);
    const width = Math.min(bottom.x, canvas.clientWidth) - x, height = Math.min(bottom.y, canvas.clientHeight) - y;
    const picture = make("canvas", { width: WIDTH, height: Math.round((WIDTH * height) / width) });
    picture.getContext("2d").drawImage(canvas, x * scale, y * scale, width * scale, height * scale, 0, 0, picture.width, picture.height);
    const [left, right] = [chart.map.unproject([x, y + height / 2]), chart.map.unproject([x + width, y + height / 2])];
    out.push({ month, picture, facts: `${percent(valid)} valid, n = ${count ?? 0}`, metres: left.distanceTo(right) / WIDTH });
    progress(out.length, months.length);
  }
  return out;
}

/** One frame with its month above and the credits below. @param {Frame} frame @param {Subject} subject */
function draw(context, frame, { cube, look, variable }, x = 0) {
  const { picture: { width, height }, metres } = frame;
  context.fillStyle = "#fbfdfe";
  context.fillRect(x, 0, width, context.canvas.height);
  context.drawImage(frame.picture, x, 30);
  const text = (words, left, y, size, colour, align = "left") => {
    context.font = `${size > 12 ? 600 : 400} ${size}px system-ui, "Liberation Sans", sans-serif`;
    context.fillStyle = colour;
    context.textAlign = align;
    context.fillText(words, left, y);
  };
  text(monthName(frame.month), x + 10, 20, 14, "#0f3a4d");
  text(frame.facts, x + width - 10, 20, 11, "#4d6773", "right");
  const base = height + 30;
  const bar = 10 ** Math.floor(Math.log10(metres * width * 0.4));
  const length = bar / metres;
  context.fillStyle = "#0f3a4d";
  context.fillRect(x + 10, base - 12, length, 3);
  context.lineWidth = 3;
  context.strokeStyle = "#fbfdfe";
  context.font = "11px system-ui";
  const distance = bar >= 1000 ? `${bar / 1000} km` : `${bar} m`;
  context.strokeText(distance, x + 10, base - 16);
  text(distance, x + 10, base - 16, 11, "#0f3a4d");
  text(`${cube.name} · ${variable} · snapshot ${short(cube.snapshot)}`, x + 10, base + 18, 11, "#16313d");
  text(CREDIT, x + 10, base + 35, 10, "#4d6773");
  if (!look.colormap) return;
  const ramp = colours(look.colormap);
  ramp.forEach(([r, g, b], k) => {
    context.fillStyle = `rgb(${r} ${g} ${b})`;
    context.fillRect(x + width - 90 + (k * 80) / 256, base + 8, 1, 8);
  });
  text(figure(look.lo), x + width - 90, base + 28, 10, "#4d6773");
  text(figure(look.hi), x + width - 10, base + 28, 10, "#4d6773", "right");
}

/** @param {Frame[]} all @param {Subject} subject @returns {Promise<Blob>} PNG, frames side by side */
function strip(all, subject) {
  const height = all[0].picture.height + 30 + FOOT;
  const canvas = make("canvas", { width: all.length * (WIDTH + 6) - 6, height });
  all.forEach((frame, k) => draw(canvas.getContext("2d"), frame, subject, k * (WIDTH + 6)));
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/** @param {Frame} frame @returns {HTMLCanvasElement} for one frame at a time; its height even, as films want it */
const screen = ({ picture }) => make("canvas", { width: WIDTH, height: 2 * Math.ceil((picture.height + 30 + FOOT) / 2) });

/** @param {Frame[]} all @param {Subject} subject @returns {Promise<Blob>} GIF; every frame has 256 colours of its own */
async function gif(all, subject) {
  const { GIFEncoder, quantize, applyPalette } = await import("gifenc");
  const { width, height } = screen(all[0]);
  const encoder = GIFEncoder();
  for (const frame of all) {
    const context = screen(frame).getContext("2d", { willReadFrequently: true });
    draw(context, frame, subject);
    const { data } = context.getImageData(0, 0, width, height);
    const palette = quantize(data, 256);
    encoder.writeFrame(applyPalette(data, palette), width, height, { palette, delay: FRAME_MILLISECONDS });
  }
  encoder.finish();
  return new Blob([encoder.bytes()], { type: "image/gif" });
}

/** @param {Frame[]} all @param {Subject} subject @returns {Promise<Blob>} a film, as the browser makes it */
async function film(all, subject) {
  const canvas = screen(all[0]);
  const context = canvas.getContext("2d");
  draw(context, all[0], subject);
  const type = FILMS.find((t) => MediaRecorder.isTypeSupported(t));
  const recorder = new MediaRecorder(canvas.captureStream(25), { mimeType: type, videoBitsPerSecond: 4e6 });
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  const ended = new Promise((done) => (recorder.onstop = done));
  recorder.start();
  for (const frame of all) {
    for (let passed = 0; passed < FRAME_MILLISECONDS; passed += 50) {
      draw(context, frame, subject);
      await new Promise((done) => setTimeout(done, 50));
    }
  }
  recorder.stop();
  await ended;
  return new Blob(parts, { type });
}

/**
 * @param {import("./map.js").Chart} chart @param {() => Subject} subject
 * @param {(month: string) => Promise<void>} show @param {() => Promise<void>} restore
 * @returns {() => void} opens the dialog
 */
export function timelapse(chart, subject, show, restore) {
  const note = (text) => (by("export-note").textContent = text);
  const run = (make_, view) => async () => {
    const about = subject();
    const buttons = [by("export-strip"), by("export-film"), by("export-gif")];
    buttons.forEach((b) => (b.disabled = true));
    try {
      const all = await frames(chart, about, show, (done, of) => note(`month ${done} of ${of}`));
      note("putting it together");
      const blob = await make_(all, about);
      const url = URL.createObjectURL(blob);
      by("export-preview").replaceChildren(view(url, all));
      const ending = blob.type.split(/[/;]/)[1];
      Object.assign(by("export-save"), { href: url, download: `${about.cube.name}-${about.variable}-${short(about.cube.snapshot)}.${ending}`, hidden: false });
      note(`${ending.toUpperCase()}, ${Math.round(blob.size / 1024)} KB, ${all.length} months, snapshot ${about.cube.snapshot}`);
      say("ready to save");
    } catch (error) {
      note(String(error.message ?? error));
    } finally {
      buttons.forEach((b) => (b.disabled = false));
      await restore();
    }
  };
  by("export-strip").addEventListener("click", run(strip, (src, all) => make("img", { src, alt: `${all.length} months side by side` })));
  by("export-film").addEventListener("click", run(film, (src) => make("video", { src, controls: true, muted: true, loop: true, autoplay: !calm.matches })));
  by("export-gif").addEventListener("click", run(gif, (src, all) => (calm.matches ? all[0].picture : make("img", { src, alt: `${all.length} months, one after the other` }))));
  by("export-close").addEventListener("click", () => by("export").close());
  return () => by("export").showModal();
}
