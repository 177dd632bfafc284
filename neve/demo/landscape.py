"""What the ground looks like: reflectance and clouds as pure functions of longitude and latitude.

Belongs here: the synthetic picture (sea, lagoon, river, lake, fields, towns, woods, mountains,
clouds). Two grids that look at one place get one answer. Does not belong here: grids, files, STAC.

The land runs from a sea in the south-east to mountains in the north-west, around ``ORIGIN``, and
repeats after some hundred kilometres, so that every place on Earth shows something.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]

ORIGIN = (12.36, 45.40)  # lon, lat of a point on the coast
KM_PER_DEGREE = 111.32
TEXEL = 0.1  # km, cell of the noise textures
TEXTURE_SIZE = 1024

# Reflectance per ground cover, in the order of BANDS. Plausible values, measured nowhere.
BANDS = (
    *("coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3"),
    *("nir", "nir08", "nir09", "swir16", "swir22"),
)
SPECTRA: dict[str, tuple[float, ...]] = {
    "sea": (0.045, 0.042, 0.032, 0.012, 0.009, 0.007, 0.006, 0.005, 0.005, 0.004, 0.003, 0.002),
    "shallow": (0.07, 0.078, 0.089, 0.05, 0.034, 0.016, 0.014, 0.012, 0.01, 0.01, 0.006, 0.004),
    "lake": (0.03, 0.034, 0.042, 0.02, 0.015, 0.01, 0.009, 0.007, 0.007, 0.006, 0.004, 0.003),
    "sand": (0.13, 0.16, 0.21, 0.25, 0.27, 0.29, 0.30, 0.32, 0.33, 0.34, 0.38, 0.34),
    "crop": (0.025, 0.034, 0.076, 0.038, 0.11, 0.32, 0.40, 0.43, 0.45, 0.45, 0.19, 0.09),
    "stubble": (0.06, 0.082, 0.125, 0.165, 0.19, 0.23, 0.25, 0.28, 0.30, 0.31, 0.33, 0.25),
    "soil": (0.05, 0.064, 0.085, 0.107, 0.13, 0.15, 0.16, 0.18, 0.19, 0.20, 0.26, 0.23),
    "meadow": (0.025, 0.036, 0.078, 0.052, 0.12, 0.25, 0.30, 0.33, 0.35, 0.35, 0.22, 0.12),
    "forest": (0.014, 0.019, 0.041, 0.021, 0.065, 0.20, 0.26, 0.28, 0.30, 0.30, 0.14, 0.06),
    "conifer": (0.011, 0.015, 0.026, 0.015, 0.045, 0.12, 0.15, 0.17, 0.18, 0.18, 0.08, 0.035),
    "rock": (0.10, 0.118, 0.142, 0.158, 0.17, 0.18, 0.19, 0.20, 0.21, 0.21, 0.24, 0.21),
    "town": (0.085, 0.104, 0.12, 0.132, 0.14, 0.16, 0.17, 0.19, 0.20, 0.20, 0.22, 0.20),
}
WATER, BARE = ("sea", "shallow", "lake"), ("sand", "stubble", "soil", "rock", "town")


@lru_cache(maxsize=8)
def texture(seed: int, slope: float = 2.0, longest: float = 30.0) -> Array:
    """Periodic noise, mean 0, deviation 1; waves up to ``longest`` km, amplitude ∝ f^-slope."""
    freq = np.fft.fftfreq(TEXTURE_SIZE, TEXEL)
    radius = np.hypot(freq[:, None], np.fft.rfftfreq(TEXTURE_SIZE, TEXEL)[None, :])
    with np.errstate(divide="ignore"):
        gain = np.where(radius * longest >= 1, radius**-slope, 0.0)
    white = np.random.default_rng(seed).standard_normal((TEXTURE_SIZE, TEXTURE_SIZE))
    field = np.fft.irfft2(np.fft.rfft2(white) * gain, s=white.shape)
    return (field / field.std()).astype(np.float32)


def sample(field: Array, x: NDArray[Any], y: NDArray[Any], zoom: float = 1.0) -> Array:
    """Bilinear value of a periodic texture at (x, y) km; ``zoom`` > 1 shrinks its features."""
    u, v = x * (zoom / TEXEL), y * (zoom / TEXEL)
    col, row = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    fu, fv = (u - col).astype(np.float32), (v - row).astype(np.float32)
    last = TEXTURE_SIZE - 1  # a power of two less one: & wraps as % would, faster
    c0, c1, r0, r1 = col & last, (col + 1) & last, row & last, (row + 1) & last
    upper = field[r0, c0] * (1 - fu) + field[r0, c1] * fu
    lower = field[r1, c0] * (1 - fu) + field[r1, c1] * fu
    return np.asarray(upper * (1 - fv) + lower * fv, np.float32)


def step(low: float | NDArray[Any], high: float | NDArray[Any], value: NDArray[Any]) -> Array:
    """Smooth rise from 0 at ``low`` to 1 at ``high`` (a fall if ``high`` < ``low``)."""
    s = np.clip((value - low) / (high - low), 0, 1).astype(np.float32)
    return np.asarray(s * s * (3 - 2 * s), np.float32)


def dice(i: NDArray[Any], j: NDArray[Any], salt: int) -> Array:
    """A number in [0, 1) that depends on two integers only (an integer hash)."""
    i, j = i.astype(np.int64).astype(np.uint32), j.astype(np.int64).astype(np.uint32)
    h = i * np.uint32(0x9E3779B1) ^ j * np.uint32(0x85EBCA77)
    h = (h ^ np.uint32(salt * 0x27D4EB2F & 0xFFFFFFFF)) * np.uint32(0xC2B2AE3D)
    h = (h ^ h >> np.uint32(15)) * np.uint32(0x165667B1)
    return ((h ^ h >> np.uint32(13)) >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24)


def plane(lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Degrees → km east and north of ``ORIGIN`` on a flat map, whose seam is at 167.64° W."""
    dlon = (np.asarray(lon, float) - ORIGIN[0] + 180) % 360 - 180
    scale = KM_PER_DEGREE * np.cos(np.radians(ORIGIN[1]))
    return dlon * scale, (np.asarray(lat, float) - ORIGIN[1]) * KM_PER_DEGREE


def lonlat(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The inverse of ``plane``; longitudes run on past 180°."""
    scale = KM_PER_DEGREE * np.cos(np.radians(ORIGIN[1]))
    return ORIGIN[0] + x / scale, ORIGIN[1] + y / KM_PER_DEGREE


def coast_frame(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """(inland, along) km: from a wavy coast, folded every 160 km, and along it."""
    inland, along = -0.82 * x + 0.57 * y, 0.57 * x + 0.82 * y
    inland = 60 - np.abs((inland + 20) % 160 - 80)
    return inland + 1.3 * sample(texture(1, 2.2), x, y), along


def river_distance(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """km across from the middle of the nearest river; one meets the coast every 42 km."""
    inland, along = coast_frame(x, y)
    bend = texture(2, 2.2, 25.0)
    meander = 2.4 * sample(bend, inland, inland * 0) + 0.5 * sample(bend, inland * 3, inland * 0)
    return np.abs((along + 5 - meander) % 42 - 21)


def height(x: NDArray[Any], y: NDArray[Any]) -> Array:
    """Metres above the plain: ridges that rise from the foothills, cut by the river's valley."""
    inland, _ = coast_frame(x, y)
    rise = step(17, 50, inland) * (0.25 + 0.75 * step(0.3, 6, river_distance(x, y)))
    ridge = 1 - np.abs(sample(texture(3, 1.9, 16.0), x, y)) / 1.6
    fine = sample(texture(4, 1.8, 4.0), x, y)
    return rise * (1300 + 1250 * ridge + 85 * fine).astype(np.float32)


def shade(x: NDArray[Any], y: NDArray[Any]) -> Array:
    """Brightness of slopes lit by the morning sun from the south-east; 1 on flat ground."""
    run, here = 0.12, height(x, y)
    east = (height(x + run, y) - here) / (1000 * run)
    north = (height(x, y + run) - here) / (1000 * run)
    lit = (1 - 0.55 * east + 0.75 * north) / np.sqrt(1 + east**2 + north**2)
    return np.clip(lit, 0.35, 1.5).astype(np.float32)


def fields(x: NDArray[Any], y: NDArray[Any], month: int) -> dict[str, Array]:
    """Shares of crop, stubble, soil and meadow: strips of a parcel follow one direction."""
    warp = sample(texture(1, 2.2), x, y, 0.7)
    pi, pj = np.floor((x + warp) / 2.7), np.floor((y - warp) / 2.7)
    angle = 0.35 + 0.9 * dice(pi, pj, 1)
    long, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    i, j = np.floor(long / 0.85), np.floor(across / 0.34)
    kind, luck = dice(i + 31 * pi, j + 17 * pj, 2), dice(i + 31 * pi, j + 17 * pj, 3)
    peak = np.select([kind < 0.3, kind < 0.75], [5.2, 7.6], 6.8) + 0.6 * (luck - 0.5)
    green = np.exp(-(((month - peak) / 1.5) ** 2)).astype(np.float32)
    green = np.where(kind < 0.75, 0.08 + 0.9 * green, 0.35 + 0.4 * luck)
    ripe = (kind < 0.3) & (month > peak)
    grass = (kind > 0.88).astype(np.float32)
    rest = (1 - green) * (1 - grass)
    return {
        "crop": green * (1 - grass),
        "stubble": rest * np.where(ripe, 0.9, 0.2),
        "soil": rest * np.where(ripe, 0.1, 0.8),
        "meadow": grass,
    }


def towns(x: NDArray[Any], y: NDArray[Any]) -> Array:
    """How built up the ground is, 0…1: one settlement per 6.5 km cell, some of them large."""
    near = np.zeros(np.broadcast(x, y).shape, np.float32)
    rough = 0.35 * sample(texture(4, 1.8, 4.0), x, y, 2.0)
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            i, j = np.floor(x / 6.5) + di, np.floor(y / 6.5) + dj
            cx, cy = (i + 0.1 + 0.8 * dice(i, j, 5)) * 6.5, (j + 0.1 + 0.8 * dice(i, j, 6)) * 6.5
            radius = 0.35 + 2.3 * dice(i, j, 7) ** 5
            edge = np.hypot(x - cx, y - cy) / radius + rough
            near = np.maximum(near, step(1.25, 0.55, edge))
    return near * (0.62 + 0.38 * dice(np.floor(x / 0.13), np.floor(y / 0.13), 8))


def cover(lon: ArrayLike, lat: ArrayLike, month: int) -> tuple[dict[str, Array], Array]:
    """Shares of every ground cover at each point (they add up to 1), and its brightness."""
    x, y = plane(lon, lat)
    inland, along = coast_frame(x, y)
    river, high = river_distance(x, y), height(x, y)
    patch, fine = sample(texture(5, 1.7, 12.0), x, y), sample(texture(4, 1.8, 4.0), x, y)
    left = np.ones(np.broadcast(x, y).shape, np.float32)
    shares: dict[str, Array] = {}

    def lay(name: str, share: NDArray[Any]) -> None:
        nonlocal left
        shares[name] = shares.get(name, np.float32(0)) + left * share
        left = left * (1 - share).astype(np.float32)

    depth = step(0, -9 - 2 * patch, inland)
    lay("sea", step(0.05, -0.05, inland) * depth)
    lay("shallow", step(0.05, -0.05, inland))
    lay("sand", step(0.3, 0.2, inland))
    lagoon = step(0.4, 0.6, inland) * step(6.0, 4.0, inland + patch)
    lay("shallow", lagoon * step(-0.3, 0, fine + patch))
    lake = np.hypot((inland - 24) / 1.9, (along + 11) % 42 - 21) + 0.4 * fine
    lay("lake", step(2.1, 2.0, lake))
    braid = step(8, 20, inland) * step(45, 32, inland)
    lay("lake", step(0.17, 0.11, river + 0.1 * braid * fine))
    lay("rock", step(0.42, 0.3, river + 0.12 * fine) * braid)
    lay("town", towns(x, y) * step(650, 350, high) * step(0.3, 0.7, inland))
    lay("rock", step(1950, 2350, high + 130 * fine))
    lay("meadow", step(1500, 1750, high + 120 * patch))
    lay("conifer", step(700, 1250, high + 200 * patch) * 0.9)
    lay("forest", np.maximum(step(120, 420, high + 130 * patch), step(0.95, 1.05, patch)) * 0.95)
    for name, share in fields(x, y, month).items():
        shares[name] = shares.get(name, np.float32(0)) + left * share
    calm = sum(shares[name] for name in WATER)
    bright = shade(x, y) * (1 + 0.05 * (1 - calm) * fine)
    return shares, np.asarray(bright, np.float32)


def reflectance(
    shares: dict[str, Array], bright: Array, bands: Sequence[str]
) -> NDArray[np.float32]:
    """(band, …) surface reflectance, 0…1, of mixed ground cover."""
    columns = [BANDS.index(band) for band in bands]
    mixed = [sum(share * SPECTRA[name][c] for name, share in shares.items()) for c in columns]
    return (np.stack(mixed) * bright).astype(np.float32)


def truth(
    lon: ArrayLike, lat: ArrayLike, month: int, bands: Sequence[str] = ("red", "green", "blue")
) -> NDArray[np.float32]:
    """The cloud-free answer: (band, …) reflectance 0…1 at points in degrees, for a month 1…12."""
    return reflectance(*cover(lon, lat, month), bands)


def clouds(lon: ArrayLike, lat: ArrayLike, seed: int, share: float) -> Array:
    """Opacity 0…1 of the clouds of one day over points; about ``share`` of the sky has any.

    0 and 1 mean none and closed everywhere. Exactly 0 where the sky is clear.
    """
    x, y = plane(lon, lat)
    if share <= 0 or share >= 1:
        return np.full(np.broadcast(x, y).shape, share >= 1, np.float32)
    dx, dy = np.random.default_rng(seed).uniform(0, TEXEL * TEXTURE_SIZE, 2)
    field = texture(6, 1.75, 14.0)
    low = float(np.quantile(field, 1 - share))
    return step(low, low + 0.75, sample(field, x + dx, y + dy))
