"""Sets of weights: what ships, and what is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from improv import cli, demo, render, shipped
from improv.cli import app
from improv.errors import BadInput
from improv.live import daemon
from improv.music.steering import Steering
from improv.music.timeline import Timeline
from improv.net import codec, stepper, weights
from improv.net.sampler import Sampling, draw
from improv.net.stream import Limits, Reader


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped.folder("weights") / "open", tmp_path / "mine"))


def test_the_shipped_set_loads_by_name_and_is_small() -> None:
    card, _ = weights.load("open")
    assert card.name == "open" and card.fingerprint == codec.FINGERPRINT
    assert sum(file.stat().st_size for file in weights.find("open").iterdir()) <= 16e6


def test_concert_loads_by_name_and_says_its_licence() -> None:
    folder = Path(__file__).parents[1] / "weights" / "concert"
    card, _ = weights.load(str(folder))
    assert card.licence == "CC BY-NC-SA 4.0" and "NonCommercial" in (folder / "LICENSE").read_text()
    assert card.fingerprint == codec.FINGERPRINT and card.styles["classical"] > 5_000_000
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 48e6


def test_a_set_loads_by_its_path(copy: Path) -> None:
    assert weights.load(str(copy))[0].name == "mine"


def test_a_link_to_itself_in_the_place_of_the_weights_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").symlink_to("weights")
    monkeypatch.chdir(tmp_path)
    assert weights.find("open").parent == shipped.folder("weights")


def damage_card(folder: Path) -> None:
    (folder / "card.yaml").write_text("notice: [")


def damage_graph(folder: Path) -> None:
    (folder / "trunk.tflite").write_bytes(b"nothing")


def truncate_graph(folder: Path) -> None:
    data = (folder / "what.tflite").read_bytes()
    (folder / "what.tflite").write_bytes(data[: len(data) // 2])


def forge_graph(folder: Path) -> None:
    """The card names it."""
    (folder / "trunk.tflite").write_bytes(b"not")
    change_sums(folder)


def forge_half(folder: Path) -> None:
    truncate_graph(folder)
    change_sums(folder)


def large_graph(folder: Path) -> None:
    with open(folder / "trunk.tflite", "wb") as file:
        file.truncate(1 << 40)


def large_card(folder: Path) -> None:
    with open(folder / "card.yaml", "wb") as file:
        file.truncate(1 << 40)


def pipe_for_a_card(folder: Path) -> None:
    (folder / "card.yaml").unlink()
    os.mkfifo(folder / "card.yaml")


def aliased_card(folder: Path) -> None:
    with open(folder / "card.yaml", "a") as file:
        file.write("a: &a [1, 1]\nb: &b [*a, *a]\n")


def shouting_card(folder: Path) -> None:
    change_card(folder, notice="\x1b]0;owned\x07 nothing to see")


def remove_graph(folder: Path) -> None:
    (folder / "velocity.tflite").unlink()


def swap_graphs(folder: Path) -> None:
    shutil.copy(folder / "what.tflite", folder / "trunk.tflite")


def swap_heads(folder: Path) -> None:
    shutil.copy(folder / "velocity.tflite", folder / "what.tflite")


def infinite_card(folder: Path) -> None:
    (folder / "card.yaml").write_text((folder / "card.yaml").read_text().replace("styles:", "styles:\n  a: .inf", 1))


def broken_fingerprint(folder: Path) -> None:
    change_card(folder, fingerprint="a\nb")


def change_fingerprint(folder: Path) -> None:
    card = folder / "card.yaml"
    card.write_text(card.read_text().replace(codec.FINGERPRINT, "0123456789abcdef"))


def change_card(folder: Path, **values: object) -> None:
    card = folder / "card.yaml"
    card.write_text(yaml.safe_dump({**yaml.safe_load(card.read_text()), **values}))


def change_sums(folder: Path) -> None:
    change_card(folder, sums={name: weights.digest(folder, name) for name in stepper.GRAPHS})


def strange_style(folder: Path) -> None:
    change_card(folder, styles={"pop": 9, "polka": 3})


class Widened(stepper._Graph):
    """A graph of another network: its `hidden` is wider by one."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, name)
        if name == "what":
            self.takes["hidden"] = (1, self.takes["hidden"][-1] + 1)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (damage_card, r"mine: .*card.yaml: malformed YAML at line 1"),
        (damage_graph, "trunk.tflite is damaged, not the file that its card.yaml names"),
        (truncate_graph, "what.tflite is damaged, not the file"),
        (forge_graph, "trunk.tflite is damaged, or no graph of improv's: it is too short"),
        (forge_half, "what.tflite is damaged, or no graph of improv's: it points outside itself"),
        (large_graph, "trunk.tflite: it is larger than 64 MB"),
        (large_card, "card.yaml: it is larger than 64 KB"),
        (pipe_for_a_card, "card.yaml: it is no ordinary file"),
        (aliased_card, r"card.yaml: malformed YAML at line \d+, column \d+: anchors \(&\), aliases"),
        (shouting_card, "card.yaml is damaged"),
        (remove_graph, "velocity.tflite is missing"),
        (swap_graphs, "damaged"),
        (swap_heads, "damaged"),
        (infinite_card, "damaged"),
        (change_fingerprint, "another alphabet"),
        (broken_fingerprint, "card.yaml is damaged"),
        (strange_style, r"styles that this version of improv does not know \(polka\)"),
        (shutil.rmtree, "no such set"),
    ],
)
def test_a_bad_set_is_one_clear_sentence(copy: Path, harm: object, says: str) -> None:
    harm(copy)  # type: ignore[operator]
    with pytest.raises(weights.BadWeights, match=says):
        weights.load(str(copy))


def test_graphs_of_two_networks_are_refused(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepper, "_Graph", Widened)
    with pytest.raises(weights.BadWeights, match=r"do not fit together .*`hidden` of 513 numbers, not 512"):
        weights.load(str(copy))


def test_the_sets_are_listed_in_short_and_one_is_shown_whole() -> None:
    listed = CliRunner().invoke(app, ["weights"])
    assert listed.exit_code == 0 and len(listed.output.splitlines()) <= 2 + 4 * len(weights.folders())
    for said in ("open", "CC BY 4.0", "5.41", "pop (1.3 M notes), song (1.1 M)", "ragtime (27 k)", "POP909"):
        assert said in listed.output
    assert [line.split("  ")[0] for line in listed.output.splitlines() if "(default)" in line] == ["open (default)"]
    whole = CliRunner().invoke(app, ["weights", "open"])
    assert whole.output.strip() == weights.Card.read(weights.find("open")).text.strip()
    none = CliRunner().invoke(app, ["weights", "none"])
    assert none.exit_code == 2 and "no such set" in none.stderr


def test_only_styles_that_were_heard_are_offered(copy: Path) -> None:
    change_card(copy, styles={"unknown": 1_000, "jazz": 0, "pop": 1_234_567, "song": 999})
    card = weights.read(str(copy))
    assert card.repertoire == "pop (1.2 M notes), song (999)"
    for style in (None, "pop", "song"):
        card.check_style(style)
    for style in ("unknown", "jazz", "reggae", ""):
        with pytest.raises(BadInput, match=r"weights mine know pop \(1.2 M notes\), song \(999\)$"):
            card.check_style(style)
    change_card(copy, styles={})
    with pytest.raises(BadInput, match="know no style"):
        weights.read(str(copy)).check_style("pop")


PLAYING = {
    "listen": ("listen", "--virtual"),
    "render": ("render", "seed.mid", "-o", "answer.mid"),
    "demo": ("demo",),
}


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each command comes as far as its work, which is left out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "_leave_quietly_until_it_listens", lambda: None)
    monkeypatch.setattr(daemon, "listen", lambda *_: 0)
    monkeypatch.setattr(render, "render", lambda *_: ["done"])
    monkeypatch.setattr(demo, "demo", lambda *_: None)


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("command", PLAYING)
def test_a_non_commercial_licence_is_said_once_beside_the_output(copy: Path, command: str) -> None:
    def said() -> tuple[str, str]:
        result = CliRunner().invoke(app, [*PLAYING[command], "--weights", str(copy)])
        assert result.exit_code == 0, result.output
        return result.stdout, result.stderr

    before = said()
    assert before[1] == ""
    change_card(copy, licence="CC BY-NC-SA 4.0")
    assert said() == (before[0], "improv: weights mine: CC BY-NC-SA 4.0, not for commercial use\n")


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("command", PLAYING)
def test_a_style_that_was_not_heard_is_refused_at_the_door(command: str) -> None:
    result = CliRunner().invoke(app, [*PLAYING[command], "--style", "reggae"])
    assert result.exit_code == 2 and not result.stdout
    assert result.stderr.startswith("improv: `steering.style` (--style) is reggae: weights open know pop (1.3 M notes)")
    assert len(result.stderr.splitlines()) == 1
    assert CliRunner().invoke(app, [*PLAYING[command], "--style", "pop"]).exit_code == 0


def test_the_reader_draws_only_what_is_possible() -> None:
    _, net = weights.load("open")
    reader = Reader(net, Steering(temperature=1.5, top_p=1.0, memory=0.0))
    line = Timeline()
    stream = reader.start(0, line)
    for _ in range(300):
        token = reader.draw(stream, Limits(), line)
        assert codec.allowed(stream.held, stream.last.what, token.tick - stream.last.tick)[token.what]
        stream = reader.feed(stream, token, line, own=True)


def test_draw_keeps_to_its_choices_and_to_the_nucleus() -> None:
    logp = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    rng = np.random.default_rng(0)
    everything = np.arange(4)
    counts = np.bincount([draw(logp, everything, Sampling(), rng.random()) for _ in range(4000)], minlength=4) / 4000
    assert np.allclose(counts, np.exp(logp), atol=0.03)
    assert {draw(logp, everything, Sampling(1.0, 0.8), rng.random()) for _ in range(500)} == {0, 1}
    assert {draw(logp, np.array([2, 3]), Sampling(), rng.random()) for _ in range(500)} == {2, 3}
    assert {draw(logp, everything, Sampling(0.05), rng.random()) for _ in range(500)} == {0}
    assert draw(logp, everything, Sampling(), np.nextafter(1.0, 0.0)) == 3
