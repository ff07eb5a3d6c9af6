"""Dependencies point down: read from the imports, not from good intentions."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A module may import only from the rooms named here (its own room always).
MAY_IMPORT = {
    "improv.music": set(),
    "improv.errors": set(),
    "improv.clock": set(),
    "improv.hush": set(),
    "improv.shipped": set(),
    "improv.child": set(),
    "improv.endings": set(),
    "improv.saying": set(),
    "improv.progress": set(),
    "improv.door": {"improv.errors"},
    "improv.net": {"improv.music", "improv.errors", "improv.hush", "improv.shipped", "improv.door"},
    "improv.midi": {"improv.music", "improv.errors", "improv.hush", "improv.clock", "improv.door", "improv.child"},
    "improv.exchange": {"improv.net"},
    "improv.tape": {"improv.music", "improv.net"},
    "improv.soloist": {"improv.tape", "improv.exchange", "improv.music", "improv.net"},
    "improv.takes": {"improv.soloist", "improv.music", "improv.net"},
    "improv.improviser": {"improv.takes", "improv.soloist", "improv.music", "improv.net"},
    "improv.engine": {"improv.improviser", "improv.takes", "improv.music", "improv.net"},
    "improv.plot": {"improv.music", "improv.errors"},
    "improv.usage": set(),
    "improv.catalogue": {"improv.net"},
    "improv.players": {"improv.net", "improv.door", "improv.whole", "improv.errors"},
    "improv.panic": {"improv.midi", "improv.music"},
    "improv.config": {"improv.music", "improv.errors", "improv.door", "improv.shipped"},
    "improv.presets": {"improv.config", "improv.music", "improv.shipped", "improv.door"},
    "improv.origins": {"improv.config"},
    "improv.together": {"improv.config"},
    "improv.written": set(),
    "improv.whole": set(),
    "improv.learn": {
        "improv.presets",
        "improv.written",
        "improv.whole",
        "improv.config",
        "improv.midi",
        "improv.music",
        "improv.clock",
        "improv.errors",
    },
    "improv.recording": {
        "improv.config",
        "improv.net",
        "improv.midi",
        "improv.errors",
        "improv.progress",
        "improv.saying",
        "improv.__version__",
    },
    "improv.replay": {
        "improv.players",
        "improv.recording",
        "improv.together",
        "improv.config",
        "improv.engine",
        "improv.net",
        "improv.midi",
        "improv.music",
        "improv.errors",
        "improv.progress",
        "improv.__version__",
    },
    "improv.render": {
        "improv.players",
        "improv.config",
        "improv.engine",
        "improv.net",
        "improv.midi",
        "improv.music",
        "improv.errors",
        "improv.progress",
        "improv.plot",
    },
    "improv.live": {
        "improv.players",
        "improv.presets",
        "improv.recording",
        "improv.config",
        "improv.engine",
        "improv.net",
        "improv.midi",
        "improv.music",
        "improv.clock",
        "improv.errors",
        "improv.child",
        "improv.endings",
        "improv.saying",
    },
    "improv.demo": {
        "improv.players",
        "improv.live",
        "improv.render",
        "improv.config",
        "improv.engine",
        "improv.net",
        "improv.midi",
        "improv.music",
        "improv.clock",
        "improv.errors",
        "improv.plot",
    },
    "improv.doctor": {
        "improv.live",
        "improv.config",
        "improv.engine",
        "improv.net",
        "improv.midi",
        "improv.music",
        "improv.clock",
        "improv.child",
    },
}
SKIN = {"improv", "improv.__main__", "improv.cli"}  # it may import anything
TRAIN_MAY_IMPORT = {
    "train.corpora": set(),
    "train.network": {"train.corpora"},
    "train.judge": {"train.network", "train.corpora"},
    "train.ship": {"train.judge", "train.network", "train.corpora"},
}
CLOCKS = {"time", "datetime", "threading", "queue", "signal", "subprocess"}


def modules(folder: str) -> dict[str, Path]:
    paths = (ROOT / folder).rglob("*.py")
    return {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in paths}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("name", sorted(modules("improv").keys() - SKIN))
def test_a_room_imports_only_what_lies_below_it(name: str) -> None:
    room = next(room for room in MAY_IMPORT if name.startswith(room))
    ours = {module for module in imports(modules("improv")[name]) if module.startswith(("improv.", "train"))}
    allowed = (room, *MAY_IMPORT[room])
    assert all(module.startswith(allowed) for module in ours), ours


@pytest.mark.parametrize("name", [name for name in modules("train") if name.rpartition(".")[0] in TRAIN_MAY_IMPORT])
def test_a_room_of_training_imports_only_what_lies_below_it(name: str) -> None:
    room = name.rpartition(".")[0]
    ours = {module for module in imports(modules("train")[name]) if module.startswith("train.")}
    assert all(module.startswith((room, *TRAIN_MAY_IMPORT[room])) for module in ours), ours


@pytest.mark.parametrize("name", modules("improv"))
def test_improv_never_imports_train_or_tensorflow(name: str) -> None:
    assert not any(m.split(".")[0] in {"train", "tensorflow", "keras"} for m in imports(modules("improv")[name]))


@pytest.mark.parametrize(
    "name", [n for n in modules("improv") if n.startswith(("improv.music", "improv.net", "improv.engine"))]
)
def test_below_the_daemon_nothing_knows_the_time_or_a_thread(name: str) -> None:
    assert not imports(modules("improv")[name]) & CLOCKS


def test_only_ports_knows_the_driver() -> None:
    knowing = {name for name, path in modules("improv").items() if "rtmidi" in imports(path)}
    assert knowing == {"improv.midi.ports"}


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("improv.live.daemon", {"tensorflow", "keras", "matplotlib", "pretty_midi", "scipy", "torch", "rich"}),
        ("improv.live.view", {"numpy", "mido", "typer", "yaml", "ai_edge_litert", "rtmidi"}),
        ("improv.midi.outlet", {"numpy", "mido", "typer", "yaml", "ai_edge_litert"}),
        ("improv.cli", {"numpy", "matplotlib", "rtmidi"}),
    ],
)
def test_what_a_process_loads_stays_light(module: str, absent: set[str]) -> None:
    program = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not absent & set(loaded)
