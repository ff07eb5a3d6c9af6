"""What a set of weights says of itself: its card, its licence, whom it owes what."""

from __future__ import annotations

import subprocess
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from improv.net import codec
from train import batches
from train.baselines import NAMES
from train.recipe import Recipe

LICENCE = "CC BY 4.0"
LICENCE_URL = "https://creativecommons.org/licenses/by/4.0/legalcode"

NOTICES = {
    "pop909": "Trained in part on POP909: its arrangements are MIT-licensed by their repository, but the songs "
    "themselves are in copyright, and a licence of the arrangements does not cover the songs.",
}

CREDITS = {
    "giantmidi_sample": "GiantMIDI-Piano. Q. Kong, B. Li, J. Chen, Y. Wang, TISMIR 2022. "
    "https://github.com/bytedance/GiantMIDI-Piano (930d535). CC BY 4.0. Changed: the evaluation transcriptions and "
    "previews of the repository only; notes rounded to ticks of 10.4 ms.",
    "js_fakes": "JS Fake Chorales. O. Peracha, 2021. https://github.com/omarperacha/js-fakes (68b476d). CC BY 4.0. "
    "Changed: notes rounded to 1/48 of a beat. Machine-made; at most 3 % of what the network was shown.",
    "mutopia_piano": "The Mutopia Project, piano pieces in the public domain. https://www.mutopiaproject.org "
    "(https://github.com/MutopiaProject/MutopiaProject, 2144afd6). Public domain.",
    "openscore_lieder": "OpenScore Lieder Corpus. M. R. H. Gotham, P. Jonas, 2022. "
    "https://musescore.com/openscore-lieder-corpus (https://github.com/OpenScore/Lieder, bca12245). CC0 1.0. "
    "Changed: piano parts only.",
    "pop909": "POP909. Z. Wang, K. Chen, J. Jiang, Y. Zhang, M. Xu, S. Dai, X. Gu, G. Xia, ISMIR 2020. "
    "https://github.com/music-x-lab/POP909-Dataset (d83e6ed). MIT, copyright (c) 2020 Music X Lab. "
    "The songs are in copyright; the licence covers what Music X Lab owns.",
}


class Facts(NamedTuple):
    """Everything a card states."""

    recipe: Recipe
    form: str
    forms: Mapping[str, Mapping[str, float]]
    parity: float
    history: Sequence[Mapping[str, float]]
    train: Sequence[batches.Piece]
    licences: Mapping[str, str]  # corpus -> licence
    held_out: Mapping[str, Any]
    baselines: Mapping[str, Any]


def files(facts: Facts) -> dict[str, str]:
    """The texts of a folder by file name."""
    return {"card.yaml": card(facts), "LICENSE": licence(facts), "ATTRIBUTION.md": attribution(facts)}


def corpora(facts: Facts) -> dict[str, dict[str, Any]]:
    """Licence, files and notes of each corpus that was trained on."""
    names = sorted({piece.corpus for piece in facts.train})
    count = Counter(piece.corpus for piece in facts.train)
    notes = {name: sum(p.notes for p in facts.train if p.corpus == name) for name in names}
    return {name: {"licence": facts.licences[name], "files": count[name], "notes": notes[name]} for name in names}


def styles(facts: Facts) -> dict[str, int]:
    """Notes of each style that was trained on."""
    notes: Counter[str] = Counter()
    for piece in facts.train:
        notes[codec.STYLES[piece.style]] += piece.notes
    return dict(notes.most_common())


def notice(facts: Facts) -> str:
    said = [text for corpus, text in NOTICES.items() if corpus in corpora(facts)]
    return " ".join(said) or "Trained on music that its owners licensed or that is in the public domain."


def card(facts: Facts) -> str:
    recipe = facts.recipe
    values = {
        "notice": notice(facts),
        "licence": LICENCE,
        "fingerprint": codec.FINGERPRINT,
        "form": facts.form,
        "tier": recipe.tier,
        "shape": asdict(recipe.shape),
        "held_out": {"split": recipe.split, "part": "test", **_held_out(facts)},
        "styles": styles(facts),
        "corpora": corpora(facts),
        "forms": {name: _rounded(figures) for name, figures in facts.forms.items()},
        "parity": {"float32_against_training_graph": float(f"{facts.parity:.2g}"), "unit": "nats, largest difference"},
        "curve": [
            {"events_millions": round(row["events"] / 1e6, 3), "nats_per_note": round(row["nats_per_note"], 4)}
            for row in facts.history
        ],
        "commit": commit(),
        "seed": recipe.seed,
        "retrain": [
            "improv-train prepare CORPUS... --out data",
            f"improv-train fit config/train-{recipe.name}.yaml --out runs/{recipe.name}",
            f"improv-train export runs/{recipe.name} --out weights/{recipe.name}",
        ],
    }
    head = "".join(f"# {line}\n" for line in ("What this set of weights is and was made of.", "Read the notice first."))
    return head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)


def _held_out(facts: Facts) -> dict[str, Any]:
    held = facts.held_out
    whole = ("notes", "seconds", "nats_per_note", "nats_per_note_10ms", "nats_per_event_388", "by_attribute")
    return {
        **_rounded({key: held[key] for key in whole}),
        "by_corpus": {name: round(figures["nats_per_note"], 4) for name, figures in held["by_corpus"].items()},
        "baselines": {n: round(facts.baselines[n]["nats_per_note"], 4) for n in NAMES if n in facts.baselines},
    }


def _rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    def rounded(value: Any) -> Any:
        if isinstance(value, Mapping):
            return _rounded(value)
        return round(value, 4) if isinstance(value, float) else value

    return {name: rounded(value) for name, value in figures.items()}


def licence(facts: Facts) -> str:
    lines = [
        f"The files of this folder are licensed under Creative Commons Attribution 4.0 International ({LICENCE}):",
        LICENCE_URL,
        "",
        "You may share and adapt them, also commercially, if you give credit (ATTRIBUTION.md), link to the licence",
        "and say what you changed. They come without warranties. The program that plays them is MIT-licensed.",
        "",
        "Licences of the corpora they were trained on:",
        *(f"  {name}: {row['licence']}" for name, row in corpora(facts).items()),
        "",
        textwrap.fill(notice(facts), 110),
        "",
    ]
    return "\n".join(lines)


def attribution(facts: Facts) -> str:
    """A corpus without a ready credit is somebody's own: it is named with its licence."""
    rows = corpora(facts).items()
    credits = [f"- **{name}** ({row['notes']:,} notes): {CREDITS.get(name) or row['licence']}" for name, row in rows]
    return "\n".join(["# Trained on", "", *credits, ""])


def commit() -> str:
    """The checkout these weights were exported from, or "unknown" outside one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
