"""What is written in the place of a file of the user's, and what lies beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from improv import learn, whole
from improv.errors import BadInput


def partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}.partial")


def test_a_file_takes_the_place_of_the_old_one_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    whole.write(path, b"a")
    path.chmod(0o640)
    whole.write(path, b"b")
    assert path.read_bytes() == b"b" and path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_what_lies_beside_it_stays(tmp_path: Path) -> None:
    """Even what is called as it would be called itself, and what a link so named leads to."""
    path, precious = tmp_path / "my.yaml", tmp_path / "precious"
    precious.write_text("precious")
    partial(path).symlink_to(precious)
    with pytest.raises(FileExistsError):
        whole.write(path, b"a")
    assert partial(path).is_symlink() and precious.read_text() == "precious" and not path.exists()


def test_what_cannot_be_moved_there_is_not_left(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").mkdir()
    with pytest.raises(OSError):
        whole.write(tmp_path / "my.yaml", b"a")
    assert list(tmp_path.iterdir()) == [tmp_path / "my.yaml"]


def test_what_is_learned_is_written_over_nothing_else(tmp_path: Path) -> None:
    file, other = tmp_path / "my.yaml", tmp_path / "my.yaml.new"
    other.write_text("my other settings")
    learn._write(file, "mode: duet\n")
    assert file.read_text() == "mode: duet\n" and other.read_text() == "my other settings"
    with pytest.raises(BadInput, match="cannot be written"):
        learn._write(tmp_path / "gone" / "my.yaml", "")
