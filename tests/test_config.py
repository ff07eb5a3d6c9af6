"""Settings: what is read, what is refused and how it is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from improv import config, shipped
from improv.config import BadSetting, Settings, override
from improv.net import codec


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my.yaml"
    path.write_text(text)
    return path


def test_the_documented_defaults_are_the_defaults() -> None:
    assert config.load() == Settings()


def test_every_setting_is_documented() -> None:
    def keys(values: dict[str, object]) -> dict[str, object]:
        return {key: keys(value) if isinstance(value, dict) else None for key, value in values.items()}

    import dataclasses

    documented = yaml.safe_load((shipped.folder("config") / "default.yaml").read_text())
    assert keys(documented) == keys(dataclasses.asdict(Settings()))


def test_a_file_and_flags_go_over_the_defaults(tmp_path: Path) -> None:
    settings = config.load(written(tmp_path, "bpm: 90\nports: {aliases: {keys: nanoKEY}}\n"))
    assert (settings.bpm, settings.ports.aliases, settings.temperature) == (90.0, {"keys": "nanoKEY"}, 0.95)
    settings = config.override(settings, bpm=100.0, in_channel=3, thru=None)
    assert (settings.bpm, settings.channels.input, settings.thru) == (100.0, 3, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("temprature: 1", r"my\.yaml: `temprature` is no setting; the nearest is `temperature`"),
        ("turns: {silense: 2}", r"`turns\.silense` is no setting; the nearest is `turns\.silence`"),
        ("silence: 2", r"`silence` is no setting; the nearest is `turns\.silence`"),
        ("temperature: .nan", "must be from 0.05 to 4"),
        ("temperature: 0", "must be from 0.05 to 4"),
        ("bpm: 1e9", "must be from 20 to 400|must be a number"),
        ("bpm: .inf", "must be from 20 to 400"),
        ("channels: {output: 17}", "must be from 1 to 16"),
        ("channels: {output: true}", "whole number"),
        ("temperature: warm", "must be a number"),
        ("style: 3", "must be a text or null"),
        ("ports: loud", "settings of its own"),
        ("ports: {api: midi2}", "one of auto"),
        ("ports: {aliases: {a: 1}}", "pairs of texts"),
        ("a: [", "malformed YAML at line"),
        ("- 1", "key: value"),
        ("!!python/object/apply:os.system ['true']", "malformed YAML"),
        ("\x00", "malformed YAML"),
        ("1: 2", "is no setting"),
    ],
)
def test_a_bad_file_is_named_with_its_key(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadSetting, match=says):
        config.load(written(tmp_path, text))


def test_a_style_is_told_by_its_number_and_none_is_not_told() -> None:
    assert override(Settings(), style="pop").musicianship(0).style == codec.STYLES.index("pop")
    assert Settings().musicianship(0).style == 0


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="cannot be read"):
        config.load(tmp_path / "none.yaml")


def test_a_bad_flag_is_named() -> None:
    with pytest.raises(BadSetting, match="--out-channel is 0; it must be from 1 to 16"):
        config.override(Settings(), out_channel=0)
    with pytest.raises(BadSetting, match="--temperature is nan"):
        config.override(Settings(), temperature=float("nan"))
