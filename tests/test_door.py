"""Files that others made: what is read of them, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from improv import config, door
from improv.cli import app
from improv.errors import BadInput
from improv.midi import files

SLOW = {
    "brackets": "[" * 60_000,
    "a list": "a: [" + "1, " * 20_000 + "1]",
    "many keys": "".join(f"k{i}: 1\n" for i in range(7000)),
    "one long word": "a: " + "x" * 65_000,
    "sixties": "bars: 1" + ":59" * 20_000,
    "nested blocks": "- " * 30_000,
    "directives": "%TAG !a! b\n" * 5000 + "--- 1",
    "quotes": "a: '" + "''" * 30_000 + "'",
}


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as refused:
        door.read_yaml(path)
    assert "\n" not in str(refused.value) and str(refused.value).startswith(str(path))
    return str(refused.value)


def test_no_more_is_read_than_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert door.read(path, 5) == b"12345"
    with pytest.raises(BadInput, match=f"^{path}: it is larger than 0 KB"):
        door.read(path, 4)


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_is_no_file(place: str) -> None:
    if not os.path.exists(place) or (place == "/dev/tty" and not os.isatty(0)):
        pytest.skip(f"there is no {place} here")
    with pytest.raises(BadInput, match="no ordinary file"):
        door.read(Path(place), 5)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes in folders are not for this system")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(config.BadSetting, match="no ordinary file"):
        config.load(pipe)
    with pytest.raises(BadInput, match="no ordinary file"):
        files.read(pipe)
    result = CliRunner().invoke(app, ["render", str(pipe), "-o", str(tmp_path / "a.mid")])
    assert result.exit_code == 2 and "no ordinary file" in result.stderr


@pytest.mark.parametrize("read", [config.load, files.read])
def test_an_endless_file_is_named_with_its_limit(read: object, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BadInput, match=r"large: it is larger than (64 KB|4 MB), which is the most that is read"):
        read(path)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &x 1\nb: *x", "line 1, column 4: anchors"),
        ("a: *x", "line 1, column 4: anchors"),
        ("a: &a [1]\nb: &b [*a, *a]\n<<: [*b, *b]", "line 1, column 4: anchors"),
        ("&a [*a]", "line 1, column 1: anchors"),
        ("!!python/name:os.system ''", "line 1, column 1: anchors"),
        ("a: !!timestamp no", "tags"),
        ("a: !!int ''", "tags"),
        ("a: !!bool maybe", "tags"),
        ("a: 2001-99-99", "malformed YAML"),
        ("a: 0x" + "f" * 20_000, "malformed YAML"),
        ("a: " + "9" * 20_000, "malformed YAML"),
        ("a: 1" + ":59" * 2000 + ".0", "malformed YAML"),
        ("a: 9223372036854775808", "malformed YAML"),
        ("? [1]\n: 2", "malformed YAML"),
        ("\ud800".encode("utf-8", "surrogatepass"), "malformed YAML"),
        (b"\xff\xfea\0", "malformed YAML"),
    ],
)
def test_only_plain_values_are_read(text: str | bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert says in refusal(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steering:\n  temperature: 1\n  temperature: 2\n", "line 3, column 3: `temperature` is there a second time"),
        ("{steering: {}, bpm: 90, 'steering': {}}", "line 1, column 25: `steering` is there a second time"),
        ("- {a: {b: 1, b: 1}}", "line 1, column 14: `b` is there a second time; leave one of the two out"),
        ('"a\\e": 1\n"a\\e": 2', "line 2, column 1: `'a\\x1b'` is there"),
    ],
)
def test_of_a_key_that_is_given_twice_none_is_lost(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert says in refusal(path)


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW)
def test_whatever_is_in_64_kb_is_soon_judged(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    began = os.times().user
    with pytest.raises(config.BadSetting) as refused:
        config.load(path)
    assert os.times().user - began < 10 and len(str(refused.value)) < 400


def test_what_others_wrote_does_not_reach_the_terminal_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    texts = [
        '"a\\e[2J": 1',
        '"a\\nb": 1',
        'style: "\\e[2J"',
        'ports: {input: "a\\nb"}',
        'ports: {aliases: {a: "\\e"}}',
        'mode: "\\e"',
    ]
    for text in (*texts, "k" * 60_000 + ": 1"):
        path.write_text(text)
        with pytest.raises(config.BadSetting) as refused:
            config.load(path)
        assert str(refused.value).isprintable() and len(str(refused.value)) < 400
