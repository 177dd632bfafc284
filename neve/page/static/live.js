/**
 * Looking on while a build runs: commits that land, and blocks that are finished before that.
 *
 * Belongs here: what has moved since, and the months that are begun. Does not belong here: drawing them.
 *
 * @typedef {{branch: string, month: string, words: string}} Begun a month on a branch of its own, not published
 */
import { blocks, cube as fetchCube, historyOf, monthName } from "./data.js";
import { by, make, renew, say } from "./dom.js";

const POLL_SECONDS = 10;
const MOST = 4; // the server keeps 8 snapshots open
const STAGING = /^staging\..+\.(\d{4}-\d{2})$/;

/**
 * The `MOST` latest months; a branch that cannot be read is left out.
 * @param {import("./controls.js").Known} known @returns {Promise<Begun[]>}
 */
export async function begun({ cube, commits }) {
  const months = Object.entries(cube.refs.branches).map(([branch, snapshot]) => ({ branch, snapshot, month: branch.match(STAGING)?.[1] }));
  const latest = months.filter((b) => b.month).sort((a, b) => b.month.localeCompare(a.month)).slice(0, MOST).reverse();
  return (await Promise.all(latest.map(async ({ branch, snapshot, month }) => {
    const [{ status }, [last]] = await Promise.all([blocks(snapshot, month), historyOf(snapshot)]);
    const all = status.flat();
    // Blocks of a month that is built again are never empty: nobody knows which of them are done.
    const done = commits.some((c) => c.month === month) ? "being built again" : `${all.filter((s) => s).length} of ${all.length} blocks`;
    const when = new Date(last.written_at).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
    return { branch, month, words: `${monthName(month)} begun, not published: ${done}, ${when}` };
  }).map((told) => told.catch(() => null)))).filter(Boolean);
}

/** @param {Begun[]} all @param {string} at the branch that is shown @param {(patch: any) => void} set */
export function drawBegun(all, at, set) {
  renew(by("begun"), all.map(({ branch, month, words }) => make("button", {
    title: "Look at its blocks", "aria-pressed": String(branch === at), onclick: () => set({ at: branch, month, xray: true }),
  }, words)));
}

/**
 * Asks again and again, while somebody looks, whether a branch has moved, come or gone.
 * @param {{store: import("./state.js").Store, known: () => import("./controls.js").Known, branch: () => string,
 *   reload: () => Promise<void>}} page `branch`: the one whose history is shown
 */
export function follow({ store, known, branch, reload }) {
  async function look() {
    if (document.hidden) return;
    const [main, before] = [branch(), known().cube.refs];
    const { refs } = await fetchCube(main);
    if (JSON.stringify(refs) === JSON.stringify(before)) return;
    const { at } = store.now;
    // Published (or given up): the branch that was looked at is no more.
    if (at in before.branches && !(at in refs.branches)) store.set({ at: main });
    await reload();
    const [last] = known().commits.slice(-1);
    say(refs.branches[main] === before.branches[main] ? (known().begun ?? []).map((b) => b.words).join(". ") : `New: ${last.message}`);
  }
  let looking = Promise.resolve();
  const again = () => (looking = looking.then(look).catch(() => undefined)); // the server may be away for a while
  document.addEventListener("visibilitychange", again);
  setInterval(again, 1000 * POLL_SECONDS);
}
