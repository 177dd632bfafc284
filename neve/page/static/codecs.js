/**
 * Zarr's codecs `zstd` and `blosc` (with zstd inside) without WebAssembly or made-up code, which the
 * page's Content-Security-Policy would have to let in.
 *
 * Belongs here: bytes of a chunk → bytes of its values. Does not belong here: chunks, Zarr's metadata.
 */
import { decompress } from "fzstd";

const ZSTD = 4;
const SHUFFLED = 1, COPIED = 2, BITSHUFFLED = 4, WHOLE = 16;

/** @param {Uint8Array} from bit k of all elements, then bit k + 1 … @param {number} size bytes of an element @returns {Uint8Array} */
export function unbitshuffle(from, size) {
  const count = from.length / size;
  if (count % 8) return from; // Blosc leaves these as they are
  const out = new Uint8Array(from.length);
  const row = count / 8;
  for (let byte = 0; byte < size; byte++) {
    for (let bit = 0; bit < 8; bit++) {
      const start = (byte * 8 + bit) * row;
      for (let k = 0; k < row; k++) {
        const bits = from[start + k];
        if (!bits) continue;
        for (let e = 0; e < 8; e++) out[(k * 8 + e) * size + byte] |= ((bits >> e) & 1) << bit;
      }
    }
  }
  return out;
}

/** @param {Uint8Array} from byte k of all elements, then byte k + 1 … @param {number} size @returns {Uint8Array} */
export function unshuffle(from, size) {
  const out = new Uint8Array(from.length);
  const count = Math.floor(from.length / size);
  for (let byte = 0; byte < size; byte++) for (let k = 0; k < count; k++) out[k * size + byte] = from[byte * count + k];
  out.set(from.subarray(count * size), count * size);
  return out;
}

/** @param {Uint8Array} bytes a Blosc 1 buffer @returns {Uint8Array} what it holds */
export function unblosc(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [flags, size] = [bytes[2], bytes[3]];
  const [length, block] = [view.getUint32(4, true), view.getUint32(8, true)];
  if (flags & COPIED) return bytes.slice(16, 16 + length);
  if (flags >> 5 !== ZSTD) throw new Error(`Blosc with codec ${flags >> 5}: only zstd is known here`);
  const out = new Uint8Array(length);
  for (let start = 0, k = 0; start < length; start += block, k++) {
    const held = Math.min(block, length - start);
    const parts = flags & WHOLE || held < block ? 1 : size;
    let at = view.getUint32(16 + 4 * k, true);
    const plain = new Uint8Array(held);
    for (let p = 0; p < parts; p++) {
      const packed = view.getUint32(at, true);
      const piece = bytes.subarray(at + 4, at + 4 + packed);
      plain.set(packed === held / parts ? piece : decompress(piece), (p * held) / parts);
      at += 4 + packed;
    }
    out.set(flags & BITSHUFFLED ? unbitshuffle(plain, size) : flags & SHUFFLED && size > 1 ? unshuffle(plain, size) : plain, start);
  }
  return out;
}

/** @param {Map<string, any>} registry zarrita's */
export function register(registry) {
  for (const [name, decode] of Object.entries({ zstd: (b) => decompress(b), blosc: unblosc })) {
    registry.set(name, async () => ({ fromConfig: () => ({ kind: "bytes_to_bytes", decode }) }));
  }
}
