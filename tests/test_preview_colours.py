"""Colours of any planes, fitted and rendered in memory: stretches, components, equalised ones.

Held against what numpy gives for the whole sample; a cube's pictures are in ``test_previews``.
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from neve.previews.colours import Stretch
from neve.previews.components import Components

ANY = st.floats(width=32, allow_nan=True, allow_infinity=True)
PLANES = arrays.arrays(np.float32, (4, 5, 3), elements=ANY)


@given(PLANES)
def test_any_values_give_colours_where_finite_and_nothing_elsewhere(planes):
    valid = np.isfinite(planes).all(axis=0)
    rgb = np.isfinite(planes[:3]).all(axis=0)
    for found, some in (
        (Stretch.fit(planes[:3, rgb]).render(planes[:3]), rgb),
        (Components.fit(planes[:, valid]).render(planes), valid),
    ):
        assert found.dtype == np.uint8
        assert found.shape == (5, 3, 3)
        assert ((found > 0).all(axis=-1) == some).all()
        assert ((found == 0).all(axis=-1) == ~some).all()


@given(st.integers(0, 2**32 - 1), st.integers(3, 9), st.integers(2, 400))
def test_components_are_those_of_numpy(seed, variables, cells):
    generator = np.random.default_rng(seed)
    mix = generator.normal(size=(variables, variables))
    sample = (mix @ generator.normal(size=(variables, cells))).astype(np.float32)
    found = Components.fit(sample)
    variances = np.linalg.eigvalsh(np.cov(sample.astype(np.float64)))[::-1]
    scores = found.axes @ (sample - found.mean[:, None])
    assert np.allclose(scores.var(axis=1, ddof=1), variances[:3], rtol=1e-3, atol=1e-5)
    assert np.allclose(found.axes @ found.axes.T, np.eye(3), atol=1e-9)
    # Affine maps of all variables together and their order of arrival change nothing.
    again = Components.fit(sample[:, ::-1])
    if np.diff(variances[:4]).max(initial=-1) < -1e-2 and cells > 2 * variables:
        assert np.allclose(found.axes, again.axes, atol=1e-3)


def test_equalised_colours_are_evenly_used():
    sample = np.random.default_rng(1).lognormal(size=(5, 40_000)).astype(np.float32)
    colours = Components.fit(sample).render(sample)
    for band in range(3):
        used = np.histogram(colours[:, band], bins=32, range=(1, 256))[0]
        assert used.min() > 0.75 * 40_000 / 32
        assert used.max() < 1.25 * 40_000 / 32


def test_large_planes_are_rendered_in_strips(monkeypatch):
    planes = np.random.default_rng(2).normal(size=(4, 30, 41)).astype(np.float32)
    picture = Components.fit(planes.reshape(4, -1))
    whole = picture.render(planes)
    monkeypatch.setattr("neve.previews.components.STRIP", 4 * 37)
    assert np.array_equal(picture.render(planes), whole)
