"""What a set of weights says of itself: its card, its licence, whom it owes what."""

from __future__ import annotations

import subprocess
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from improv.net import codec
from train.corpora.pieces import Corpus, Piece
from train.judge.baselines import NAMES
from train.network.recipe import Recipe


class Licence(NamedTuple):
    """What a set of weights may be used for."""

    name: str
    title: str
    url: str
    terms: str


LICENCES = {
    "open": Licence(
        "CC BY 4.0",
        "Creative Commons Attribution 4.0 International",
        "https://creativecommons.org/licenses/by/4.0/legalcode",
        "You may share and adapt them, also commercially, if you give credit (ATTRIBUTION.md), link to the licence and "
        "say what you changed.",
    ),
    "concert": Licence(
        "CC BY-NC-SA 4.0",
        "Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International",
        "https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode",
        "You may share and adapt them for non-commercial purposes if you give credit (ATTRIBUTION.md), link to the "
        "licence, say what you changed and share what you make of them under the same licence.",
    ),
}

NOTICES = {
    "pop909": "Trained in part on POP909: its arrangements are MIT-licensed by their repository, but the songs "
    "themselves are in copyright, and a licence of the arrangements does not cover the songs.",
}

CREDITS = {
    "asap": "ASAP. F. Foscarin, A. McLeod, P. Rigaux, F. Jacquemard, M. Sakai, ISMIR 2020. "
    "https://github.com/fosfrancesco/asap-dataset (afc815c). CC BY-NC-SA 4.0. Changed: only the performances that are "
    "not cut out of MAESTRO; notes rounded to ticks of 10.4 ms.",
    "giantmidi_sample": "GiantMIDI-Piano. Q. Kong, B. Li, J. Chen, Y. Wang, TISMIR 2022. "
    "https://github.com/bytedance/GiantMIDI-Piano (930d535). CC BY 4.0. Changed: the evaluation transcriptions and "
    "previews of the repository only; notes rounded to ticks of 10.4 ms.",
    "js_fakes": "JS Fake Chorales. O. Peracha, 2021. https://github.com/omarperacha/js-fakes (68b476d). CC BY 4.0. "
    "Changed: notes rounded to 1/48 of a beat. Machine-made; at most 3 % of what the network was shown.",
    "maestro": "MAESTRO v2.0.0 less its piano trios. C. Hawthorne, A. Stasyuk, A. Roberts, I. Simon, C.-Z. A. Huang, "
    "S. Dieleman, E. Elsen, J. Engel, D. Eck, ICLR 2019. Google LLC. https://magenta.tensorflow.org/datasets/maestro. "
    "CC BY-NC-SA 4.0. Changed: notes rounded to ticks of 10.4 ms.",
    "mutopia_piano": "The Mutopia Project, piano pieces in the public domain. https://www.mutopiaproject.org "
    "(https://github.com/MutopiaProject/MutopiaProject, 2144afd6). Public domain.",
    "openscore_lieder": "OpenScore Lieder Corpus. M. R. H. Gotham, P. Jonas, 2022. "
    "https://musescore.com/openscore-lieder-corpus (https://github.com/OpenScore/Lieder, bca12245). CC0 1.0. "
    "Changed: piano parts only.",
    "pop909": "POP909. Z. Wang, K. Chen, J. Jiang, Y. Zhang, M. Xu, S. Dai, X. Gu, G. Xia, ISMIR 2020. "
    "https://github.com/music-x-lab/POP909-Dataset (d83e6ed). MIT, copyright (c) 2020 Music X Lab. "
    "The songs are in copyright; the licence covers what Music X Lab owns.",
    "supra": "SUPRA, Stanford University Piano Roll Archive. Copyright 2019 Z. Shi and C. S. Sapp (Z. Shi, C. S. Sapp, "
    "K. Arul, J. McBride, J. O. Smith, ISMIR 2019). https://github.com/pianoroll/SUPRA (b2becba). CC BY-NC-SA 4.0. "
    "Changed: notes rounded to ticks of 10.4 ms.",
}


class Facts(NamedTuple):
    """Everything a card states."""

    recipe: Recipe
    form: str
    forms: Mapping[str, Mapping[str, float]]
    parity: float
    history: Sequence[Mapping[str, float]]
    corpora: Mapping[str, Mapping[str, Any]]  # name -> licence, files, notes
    styles: Mapping[str, int]  # notes of each
    held_out: Mapping[str, Any]
    baselines: Mapping[str, Any]
    retrain: Sequence[str]
    tuned: Mapping[str, Any] = {}


def files(facts: Facts, sums: Mapping[str, str]) -> dict[str, str]:
    """The texts of a folder by file name; `sums` are the SHA-256 of its graphs."""
    return {"card.yaml": card(facts, sums), "LICENSE": licence(facts), "ATTRIBUTION.md": attribution(facts)}


def corpora(train: Sequence[Piece], found: Sequence[Corpus], tiers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Licence, files and notes of each corpus that was trained on."""
    count = Counter(piece.corpus for piece in train)
    notes = {name: sum(p.notes for p in train if p.corpus == name) for name in count}
    licences = {corpus.name: _licence(corpus, tiers) for corpus in found}
    return {name: {"licence": licences[name], "files": count[name], "notes": notes[name]} for name in sorted(count)}


def _licence(corpus: Corpus, tiers: Sequence[str]) -> str:
    """The licences that a corpus states for its pieces of these tiers."""
    return ", ".join(sorted(set(corpus.info["licence"][np.isin(corpus.info["tier"], tiers)].tolist())))


def styles(train: Sequence[Piece]) -> dict[str, int]:
    """Notes of each style that was trained on."""
    notes: Counter[str] = Counter()
    for piece in train:
        notes[codec.STYLES[piece.style]] += piece.notes
    return dict(notes.most_common())


def notice(facts: Facts) -> str:
    said = [text for corpus, text in NOTICES.items() if corpus in facts.corpora]
    return " ".join(said) or "Trained on music that its owners licensed or that is in the public domain."


def card(facts: Facts, sums: Mapping[str, str]) -> str:
    recipe = facts.recipe
    values = {
        "notice": notice(facts),
        "licence": LICENCES[recipe.tier].name,
        "fingerprint": codec.FINGERPRINT,
        "form": facts.form,
        "sums": dict(sums),
        "tier": recipe.tier,
        "shape": asdict(recipe.shape),
        "held_out": {"split": recipe.split, "part": "test", **_held_out(facts)},
        **({"tuned": _rounded(facts.tuned)} if facts.tuned else {}),
        "styles": dict(facts.styles),
        "corpora": {name: dict(row) for name, row in facts.corpora.items()},
        "forms": {name: _rounded(figures) for name, figures in facts.forms.items()},
        "parity": {"float32_against_training_graph": float(f"{facts.parity:.2g}"), "unit": "nats, largest difference"},
        "curve": [
            {"events_millions": round(row["events"] / 1e6, 3), "nats_per_note": round(row["nats_per_note"], 4)}
            for row in facts.history
        ],
        "commit": commit(),
        "seed": recipe.seed,
        "retrain": list(facts.retrain),
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
    terms = LICENCES[facts.recipe.tier]
    lines = [
        textwrap.fill(f"The files of this folder are licensed under {terms.title} ({terms.name}):", 110),
        terms.url,
        "",
        textwrap.fill(
            f"{terms.terms} They come without warranties. The program that plays them is MIT-licensed.",
            110,
        ),
        "",
        "Licences of the corpora they were trained on:",
        *(f"  {name}: {row['licence']}" for name, row in facts.corpora.items()),
        "",
        textwrap.fill(notice(facts), 110),
        "",
    ]
    return "\n".join(lines)


def attribution(facts: Facts) -> str:
    """A corpus without a ready credit is somebody's own: it is named with its licence."""
    rows = facts.corpora.items()
    credits = [f"- **{name}** ({row['notes']:,} notes): {CREDITS.get(name) or row['licence']}" for name, row in rows]
    return "\n".join(["# Trained on", "", *credits, ""])


def commit() -> str:
    """The checkout these weights were exported from, or "unknown" outside one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
