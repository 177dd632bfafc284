/**
 * Colormaps by matplotlib's names: for the legend, the differences and the graphics card; tiles
 * come coloured from the server. All but RdYlGn can be told apart by colour-blind people.
 */
const STOPS = {
  BrBG: "543005 8b500a bf812d dec17b f6e8c3 f4f5f5 c7eae5 7fccc0 35978f 01655d 003c30",
  RdBu: "67001f b1182b d6604d f3a481 fddbc7 f6f7f7 d1e5f0 90c4dd 4393c3 2065ab 053061",
  PuOr: "7f3b08 b25706 e08214 fcb761 fee0b6 f6f6f7 d8daeb b1aad1 8073ac 532687 2d004b",
  RdYlGn: "a50026 d62f27 f46d43 fdad60 fee08b feffbe d9ef8b a5d86a 66bd63 199750 006837",
  YlGn: "ffffe5 f7fcb9 d9f0a3 acdd8e 77c679 40aa5c 228343 006737 004529",
  Blues: "f7fbff deebf7 c6dbef 9dcae1 6aaed6 4191c6 2070b4 08509b 08306b",
  YlOrBr: "ffffe5 fff7bc fee390 fec34f fe9829 eb6f14 cb4b02 983404 662506",
  viridis: "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c 1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725",
  cividis: "00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78 8c8878 9b9476 aba072 bcae6c cdbb63 dec958 f0d846 fee838",
  magma: "000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 d0416f e75263 f56b5c fc8961 fea772 fec488 fde2a3 fcfdbf",
  inferno: "000004 0b0724 210c4a 3d0965 57106e 71196e 8a226a a32c61 bc3754 d24644 e45a31 f1731d f98e09 fcac11 f9cb35 f2ea69 fcffa4",
  gray: "000000 ffffff",
};

export const NAMES = Object.keys(STOPS).flatMap((name) => [name, `${name}_r`]);

/** @param {string} name @returns {number[][]} 256 colours [r, g, b], 0…255; viridis where it is unknown */
export function colours(name) {
  const text = STOPS[name.replace(/_r$/, "")] ?? STOPS.viridis;
  let stops = text.split(" ").map((hex) => [0, 2, 4].map((k) => Number.parseInt(hex.slice(k, k + 2), 16)));
  if (name.endsWith("_r")) stops = stops.toReversed();
  return Array.from({ length: 256 }, (_, k) => {
    const place = (k / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    return stops[low].map((c, i) => Math.round(c + (stops[low + 1][i] - c) * (place - low)));
  });
}

/** @param {HTMLCanvasElement} canvas 256 × 1 @param {string} name */
export function paint(canvas, name) {
  const pixels = Uint8ClampedArray.from(colours(name).flatMap((c) => [...c, 255]));
  canvas.getContext("2d").putImageData(new ImageData(pixels, 256, 1), 0, 0);
}
