/**
 * Two scrubbers: along the months, and along the history of commits.
 *
 * Belongs here: drawing and moving them. Does not belong here: loading what they point at.
 */
import { monthName, percent, short } from "./data.js";
import { by, make } from "./dom.js";

/** @param {HTMLInputElement} input @param {number} length @param {number} k @param {string} text */
function point(input, length, k, text) {
  input.max = String(Math.max(length - 1, 0));
  input.value = String(k);
  input.disabled = length === 0;
  input.setAttribute("aria-valuetext", text);
}

/** Labels that fit: every nth of the slots. */
const every = (length) => Math.ceil(length / (innerWidth <= 720 ? 6 : 12));

/**
 * @param {import("./data.js").Month[]} months @param {string} month chosen
 * @param {number} low fewer observations than this are hatched
 */
export function drawMonths(months, month, low) {
  const k = months.findIndex((m) => m.month === month);
  const bars = months.map((m, n) => {
    const [year, number] = m.month.split("-");
    const label = n % every(months.length) ? "" : number === "01" || n === 0 ? `${monthName(m.month, "short")}` : monthName(m.month, "short").split(" ")[0];
    const poor = m.median_count == null ? m.valid_fraction == null : m.median_count < low;
    return make("span", { class: `${n === k ? "on" : ""} ${poor ? "low" : ""}`, title: `${m.month}: ${percent(m.valid_fraction)}`, "data-year": year },
      make("i", { style: `height:${Math.round(33 * (m.valid_fraction ?? 0))}px` }), make("em", {}, label));
  });
  by("months").querySelector(".bars").replaceChildren(...bars);
  const now = months[k];
  const facts = now ? `${percent(now.valid_fraction)} valid${now.median_count == null ? "" : `, median n = ${now.median_count}`}` : "";
  point(by("month"), months.length, Math.max(k, 0), now ? `${monthName(month)}, ${facts}` : "no month");
  by("month-name").replaceChildren(now ? monthName(month) : "no month yet", make("small", {}, facts));
}

/**
 * @param {import("./data.js").Commit[]} commits oldest first @param {number} k chosen
 * @param {string} month whose commits are marked @param {Record<string, string>} names snapshot → tag or branch
 */
export function drawCommits(commits, k, month, names) {
  const dots = commits.map((c, n) => make("span", { class: `${n === k ? "on" : ""} ${c.month && c.month === month ? "same" : ""}`, title: c.message },
    make("i"), make("em", {}, n % every(commits.length) ? "" : (c.month ?? "start"))));
  const track = by("commits").querySelector(".bars");
  track.replaceChildren(...dots);
  track.style.setProperty("--n", String(commits.length || 1));
  const now = commits[k];
  const named = now && names[now.snapshot];
  const when = now ? new Date(now.written_at).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }) : "";
  point(by("commit"), commits.length, Math.max(k, 0), now ? `${now.message}, ${when}${named ? `, ${named}` : ""}` : "no commit");
  by("commit-name").replaceChildren(...(now ? [now.message, make("small", { title: now.snapshot }, `${named ? `${named} · ` : ""}${short(now.snapshot)} · ${when}`)] : ["not on this branch"]));
  by("what-changed").disabled = !now?.parent;
}
