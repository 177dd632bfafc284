"""The gate: a scene whose item asks for an offset that is applied already is left out visibly."""

from dataclasses import replace

from neve.compositing.composite import Recipe
from neve.compositing.quarantine import impossible_share, quarantine
from neve.reading.ranges import Reads
from neve.scenes.values import SceneList

RECIPE = Recipe(("blue", "red"))


def mislabelled(scene):
    assets = {
        name: image if name == "scl" else replace(image, shift=-1000)
        for name, image in scene.assets.items()
    }
    return replace(scene, assets=assets)


def test_a_mislabelled_scene_is_quarantined_with_its_reason(tiny):
    scenes = tiny.plan().works[0].scenes
    lying = next(k for k, s in enumerate(scenes) if s.assets["red"].shift == 0)
    listed = tuple(mislabelled(s) if k == lying else s for k, s in enumerate(scenes))
    found = quarantine(SceneList(listed, (("x", "why"),), "print"), RECIPE)
    assert [s.id for s in found.scenes] == [s.id for k, s in enumerate(scenes) if k != lying]
    assert found.fingerprint == "print"
    reasons = dict(found.rejected)
    assert set(reasons) == {"x", scenes[lying].id}
    assert "offset" in reasons[scenes[lying].id]


def test_honest_scenes_pass_whatever_their_offset(tiny):
    scenes = tiny.plan().works[0].scenes
    assert {s.assets["red"].shift for s in scenes} == {0, -1000}
    assert max(impossible_share(s, RECIPE, Reads()) for s in scenes) < 0.01
    assert quarantine(SceneList(scenes, (), "f"), RECIPE).scenes == scenes


def test_an_unreadable_scene_is_left_to_the_blocks(tiny):
    scene = tiny.plan().works[0].scenes[0]
    image = replace(scene.assets["blue"], href="/nowhere/B02.tif")
    broken = replace(scene, assets={**scene.assets, "blue": image})
    found = quarantine(SceneList((broken,), (), "f"), RECIPE)
    assert found.scenes == (broken,)
    assert found.unjudged == (broken.id,)
