"""The README tells the truth: its tree is the real tree, its region file loads, its keys exist."""

import re
import subprocess

from conftest import PROJECT

from neve.region import Region, load

README = (PROJECT / "README.md").read_text("utf-8")
ROOMS = ("assets", "neve", "pipelines", "resources")


def listed() -> set[str]:
    block = README.split("<!-- tree -->")[1].split("<!-- /tree -->")[0]
    found, room = set(), ""
    for line in re.findall(r"^( *\S+)", block.replace("```", ""), flags=re.M):
        name = line.strip()
        room = "" if not line.startswith(" ") else room
        found.add(room + name.rstrip("/"))
        if not line.startswith(" ") and name.endswith("/"):
            room = name
    return found


def real() -> set[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    found = set()
    for path in files.stdout.splitlines():
        top, *rest = path.split("/")
        found.add(top)
        if top in ROOMS and rest[0] != "__init__.py":
            found.add(f"{top}/{rest[0]}")
    return found


def test_the_tree_is_the_real_tree():
    assert listed() == real()


def test_the_region_file_loads(tmp_path):
    (text,) = (b for b in re.findall(r"```yaml\n(.*?)```", README, flags=re.S) if "name: twl" in b)
    (tmp_path / "twl.yaml").write_text(text, "utf-8")
    assert load(tmp_path / "twl.yaml").name == "twl"


def test_every_key_of_a_region_is_explained():
    explained = set(re.findall(r"^\| (`[a-z_`, ]+`) \|", README, flags=re.M))
    names = {name for cell in explained for name in re.findall(r"`([a-z_]+)`", cell)}
    shown = set(re.findall(r"^([a-z]+):", README, flags=re.M))
    keys = {field.alias or name for name, field in Region.model_fields.items()}
    assert keys <= names | shown
