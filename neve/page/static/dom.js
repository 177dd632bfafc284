/** Small words for the document. Belongs here: what every panel says in the same way. */

/** @param {string} id @returns {any} the element with this id */
export const by = (id) => document.getElementById(id);

/**
 * @param {string} tag
 * @param {Record<string, any>} [properties] of the element; `on…` are listeners, the rest attributes
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** Replaces what an element holds; the child that has the focus hands it to the one in its place.
 * @param {HTMLElement} element @param {HTMLElement[]} children */
export function renew(element, children) {
  const k = [...element.children].indexOf(document.activeElement);
  element.replaceChildren(...children);
  children[k]?.focus();
}

/** @param {string} text said to who listens and not sees */
export function say(text) {
  by("live").textContent = text;
}

/** @param {HTMLSelectElement} select @param {[string, string][]} options value and text @param {string} value */
export function fill(select, options, value) {
  select.replaceChildren(...options.map(([v, text]) => make("option", { value: v, selected: v === value }, text)));
  select.value = value;
}

let waiting = 0;
/** @template T @param {Promise<T>} promise @returns {Promise<T>} the same, with a bar while it lasts */
export async function busy(promise) {
  document.body.classList.toggle("busy", ++waiting > 0);
  try {
    return await promise;
  } finally {
    document.body.classList.toggle("busy", --waiting > 0);
  }
}

/** @param {string} text @param {string} name offered as a file */
export function save(text, name, type = "text/csv") {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** @param {HTMLElement} button that copies a text and says so @param {() => string} text */
export function copies(button, text) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text());
    button.textContent = "copied";
    say(`${label} copied`);
    setTimeout(() => (button.textContent = label), 1500);
  });
}
