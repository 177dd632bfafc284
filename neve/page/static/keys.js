/** Keys. Belongs here: what each one does, and the list of them. */
import { by, make } from "./dom.js";

/** @param {Record<string, [string, () => void]>} keys key → what it does, in words and in fact */
export function keys(keys) {
  by("keys").replaceChildren(...Object.entries(keys).flatMap(([key, [text]]) => [
    make("dt", {}, make("kbd", {}, key)), make("dd", {}, text)]));
  by("help-close").addEventListener("click", () => by("help").close());
  addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input:not([type=range]), select, textarea, dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = keys[event.key.length === 1 ? event.key.toUpperCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action[1]();
  });
}
