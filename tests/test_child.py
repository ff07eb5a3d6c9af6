"""The program's own processes run the program, wherever it is started."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from improv import child

ROOT = Path(__file__).parents[1]
STRAY = "import os; os.write(2, b'stray'); os._exit(9)"


@pytest.mark.parametrize("name", ["json", "queue", "rtmidi", "improv", "sitecustomize"])
def test_nothing_is_imported_from_the_folder_it_is_started_in(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.py").write_text(STRAY)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    target = '["none", null, false]'
    result = subprocess.run(
        child.command("improv.midi.outlet", target), cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    assert "stray" not in result.stderr and result.returncode != 9
