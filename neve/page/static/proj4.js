/** proj4 as a module: its published bundle only knows how to be a global. */
import "../vendor/proj4/dist/proj4.js";

export default globalThis.proj4;
