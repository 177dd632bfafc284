/**
 * Natural Earth's land, from TopoJSON to GeoJSON that a web map can draw.
 *
 * Belongs here: decoding, and rings that cross ±180°. Does not belong here: colours.
 */

/**
 * @param {any} topology a TopoJSON topology with an object `land`
 * @returns {any} GeoJSON feature; longitudes run on past 180° where land does
 */
export function land({ transform: { scale, translate }, arcs, objects }) {
  const lines = arcs.map((arc) => {
    let [x, y] = [0, 0];
    return arc.map(([dx, dy]) => [(x += dx) * scale[0] + translate[0], (y += dy) * scale[1] + translate[1]]);
  });
  const line = (k) => (k < 0 ? lines[~k].toReversed() : lines[k]);
  const ring = (parts) => unrolled(parts.flatMap((k, n) => line(k).slice(n ? 1 : 0)));
  const polygons = objects.land.geometries.flatMap((g) => (g.type === "Polygon" ? [g.arcs] : g.arcs));
  const coordinates = polygons.map((rings) => {
    const [outer, ...holes] = rings.map(ring);
    const around = centred(outer, 0);
    return [around, ...holes.map((hole) => centred(hole, middle(around)))];
  });
  return { type: "Feature", properties: {}, geometry: { type: "MultiPolygon", coordinates } };
}

const middle = (ring) => ring.reduce((sum, [x]) => sum + x, 0) / ring.length;

/** @param {number[][]} ring @param {number} about @returns {number[][]} whole turns further, as near to that longitude as can be */
function centred(ring, about) {
  const turns = Math.round((middle(ring) - about) / 360);
  return turns ? ring.map(([x, y]) => [x - 360 * turns, y]) : ring;
}

/** @param {number[][]} ring @returns {number[][]} without jumps; closed along the pole it runs around */
function unrolled(ring) {
  let turn = 0;
  const out = ring.map(([x, y], k) => {
    const step = k ? x - ring[k - 1][0] : 0;
    turn += step > 180 ? -360 : step < -180 ? 360 : 0;
    return [x + turn, y];
  });
  const [first, last] = [out[0], out[out.length - 1]];
  if (turn) out.push([last[0], Math.sign(first[1]) * 90], [first[0], Math.sign(first[1]) * 90], first);
  return out;
}
