"""Texts on a study's page: samples of each arm, and the passages that they share with real text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from entroloop.metrics.passages import shared_passages
from entroloop.modalities.text import is_text, lengths_of, shown, texts_of
from entroloop.report.arms import ShownArm
from entroloop.report.page_tables import Cell, Column, Row, Table, words
from entroloop.report.read import StudyView
from entroloop.system.numbers import percent

SAMPLES = 4  # of each arm and generation that is shown
PASSAGES = 5  # of each arm


def texts_tables(number: int, view: StudyView, arms: Sequence[ShownArm]) -> list[Table]:
    """Return the tables of a study of texts, none for others: samples, and copied passages."""
    if not is_text(view.real.data):
        return []
    return [_samples(f"texts-{number}", arms), _passages(f"passages-{number}", view, arms)]


def _samples(name: str, arms: Sequence[ShownArm]) -> Table:
    """Return the first samples of each arm, of its first and its last generation."""
    columns = [
        Column("arm", words=True), Column("generation"), Column("samples, in full", words=True)
    ]  # fmt: skip
    rows = [
        Row([words(arm.label), Cell(str(g), g), words(shown(text))], arm.index)
        for arm in arms
        for g in dict.fromkeys([1, len(arm.keys)])
        for text in texts_of(arm.view.samples(arm.name, arm.seed, g)[:SAMPLES])
    ]
    return Table(name, "Samples: the first of generation 1 and of the last", columns, rows)


def _passages(name: str, view: StudyView, arms: Sequence[ShownArm]) -> Table:
    """Return the samples of which the largest share stands in one real training text."""
    headings = ("arm", "share of the sample", "passage", "sample", "real training text")
    columns = [Column(heading, words=i != 1) for i, heading in enumerate(headings)]
    rows = []
    for arm in arms:
        samples = np.asarray(view.samples(arm.name, arm.seed, len(arm.keys)))
        real = np.asarray(view.real.data[view.real_rows(arm.seed)[0]])
        found = shared_passages(samples, real)
        share = found.length / np.maximum(lengths_of(samples), 1)
        for i in np.argsort(-share, kind="stable")[:PASSAGES]:
            start, other = found.start[i], texts_of(real[found.row[i]][None])[0]
            text = texts_of(samples[i][None])[0]
            passage = text[start : start + found.length[i]]
            cells = [words(arm.label), Cell(percent(share[i]), float(share[i]))]
            rows.append(Row([*cells, *map(words, map(shown, (passage, text, other)))], arm.index))
    caption = (
        "The last generation's samples of which most stands in one real training text: the longest "
        "passage that both have"
    )
    return Table(name, caption, columns, rows)
