"""What holds for every command: JSON for programs, plain lines off a terminal, dry runs, codes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import httpx
import pytest
import typer.main
from conftest import PROJECT

from neve.cli.app import app, run
from neve.cli.tables import show

COMMANDS = typer.main.get_command(app).commands
DOCS = (PROJECT / "docs" / "commands.md").read_text("utf-8")
PROGRAM = [sys.executable, "-c", "import sys; from neve.cli import main; sys.exit(main())"]


def options(name: str) -> set[str]:
    return {option for param in COMMANDS[name].params for option in param.opts}


def test_every_command_is_documented_and_speaks_json():
    rows = re.findall(r"^\| (`[a-z`, ]+`) \|(.*)\|(.*)\|$", DOCS, flags=re.M)
    told = {name: dry for names, _, dry in rows for name in re.findall(r"[a-z]+", names)}
    assert set(told) == set(COMMANDS)
    for name, dry in told.items():
        assert "--json" in options(name), name
        assert ("--dry-run" in options(name)) == bool(dry.strip()), name


def test_help_is_light_and_tells_the_exit_codes():
    command = [sys.executable, "-X", "importtime", *PROGRAM[1:], "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = set(re.findall(r"\| +([\w.]+)$", told.stderr, flags=re.M))
    assert "neve.cli.app" in imported
    assert not imported & {"numba", "numpy", "xarray", "zarr", "icechunk", "dagster", "fastapi"}
    words = " ".join(told.stdout.split())
    for code in ("0 done", "1 the attempt", "2 wrong usage", "3 a person", "4 passing", "130 int"):
        assert code in words


def test_off_a_terminal_there_are_lines_without_colour_or_progress(store):
    for command in (("log", store), ("verify", store), ("status", store)):
        ran = subprocess.run([*PROGRAM, *command], capture_output=True, text=True, check=True)
        assert "\x1b" not in ran.stdout + ran.stderr
        assert ran.stderr == ""
    assert ran.stdout.splitlines()[1].startswith("2024-06\t")


def test_a_terminal_gets_tables_and_no_color_is_heard(store):
    shown = {}
    for name, more in (("plain", {"NO_COLOR": "1"}), ("coloured", {})):
        ours, theirs = os.openpty()
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", **more}
        command = [*PROGRAM, "blame", store]
        with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
            os.close(theirs)
            shown[name] = b""
            while piece := _read(ours):
                shown[name] += piece
        os.close(ours)
        assert process.returncode == 0
        assert "┃" in shown[name].decode()
    assert not re.search(rb"\x1b\[[\d;]*3\d", shown["plain"])


def test_what_others_wrote_is_no_markup_and_steers_no_terminal(monkeypatch, capsys):
    message = (
        "[/x] [link=http://evil.test]here[/link]\x1b]8;;http://evil.test\x07 a\nb\tc \u202e é ∅"
    )
    rows = {"[/y]": [{"[/z]": message}]}
    monkeypatch.setenv("TERM", "xterm")  # a dumb one is always 80 wide
    for terminal in (True, False):
        monkeypatch.setattr(sys.stdout, "isatty", lambda terminal=terminal: terminal)
        monkeypatch.setenv("COLUMNS", "200")
        show(rows, as_json=False)
        told = capsys.readouterr().out
        assert "[/x] [link=http://evil.test]here[/link]\\x1b]8;;" in told
        assert "a\\nb\\tc \\u202e é ∅" in told
        unstyled = re.sub(r"\x1b\[[\d;]*m", "", told)  # rich's own bold, where TERM allows it
        assert not set("\x1b\x07\u202e") & set(unstyled)


def test_json_and_errors_steer_no_terminal_either(capsys, monkeypatch, tmp_path):
    message = '\x1b[2J\x9b31m\u202e\U000e0041 é "q" \\ \n\t'
    for told in ({"table": [{"message": message}]}, {}):
        show(told, as_json=True)
        text = capsys.readouterr().out
        assert json.loads(text) == told
        assert all(char.isprintable() or char == "\n" for char in text)
        assert ("é" in text) == bool(told)
    monkeypatch.setattr(sys, "argv", ["neve", "info", f"{tmp_path}/none\x1b[2J\x9b31m"])
    assert run() == 3
    assert "none\\x1b[2J\\x9b31m: no cube here" in (text := capsys.readouterr().err)
    assert all(char.isprintable() or char == "\n" for char in text)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side is closed
        return b""


def test_whoever_has_read_enough_may_close_the_pipe(store):
    with subprocess.Popen(
        [*PROGRAM, "log", store, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


def test_a_tag_is_tried_without_being_made(neve, store, tmp_path):
    cube = shutil.copytree(store, tmp_path / "cube")
    tip = json.loads(neve("log", cube, "--json")[1])["commits"][0]["snapshot"]
    code, told = neve("tag", cube, "v2", "--dry-run", "--json")
    assert (code, json.loads(told)["tags"]) == (0, [{"tag": "v2", "snapshot": tip}])
    assert neve("info", cube, "--at", "v2")[0] == 3
    assert neve("tag", cube, "v2")[0] == 0
    assert neve("tag", cube, "v2", "--dry-run")[0] == 3
    assert neve("tag", cube, "main", "--dry-run")[0] == 3


def test_pictures_and_tables_in_files_are_told_of_in_json(neve, store, tmp_path):
    code, told = neve("quicklook", store, tmp_path / "a.png", "--json")
    assert (code, json.loads(told)) == (0, {"file": str(tmp_path / "a.png"), "month": "2024-07"})
    code, told = neve("animate", store, tmp_path / "a.gif", "--json")
    assert json.loads(told)["months"] == ["2024-06", "2024-07"]


@pytest.mark.slow
def test_open_shows_the_map_in_the_browser_that_there_is(store, tmp_path):
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}.begun; mv {seen}.begun {seen}\nsleep 60\n')
    browser.chmod(0o755)
    environment = os.environ | {"BROWSER": f"{browser} %s"}
    command = [*PROGRAM, "open", store, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            url = json.loads(server.stdout.readline())["url"]
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/#at=main", url)
            # It answers although the browser has not been closed.
            assert httpx.get(f"{url.partition('#')[0]}api/cube", timeout=60).status_code == 200
            deadline = time.monotonic() + 30
            while not seen.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            assert seen.read_text().strip() == url
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(30) in (0, 130)


def test_open_refuses_a_version_that_is_not_there(neve, store):
    assert neve("open", store, "--at", "v9")[0] == 3
