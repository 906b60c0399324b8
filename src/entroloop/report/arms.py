"""The arms on a page: of one study or of several, each with a label of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from entroloop.report.read import StudyView


@dataclass(frozen=True)
class ShownArm:
    """An arm on the page.

    index: its place, which gives its colour, mark and dash. label: its name, with that of the study
    where a page holds several. config: its configuration. study: the place of its study.
    """

    index: int
    label: str
    config: dict[str, Any]
    study: int
    view: StudyView

    @property
    def name(self) -> str:
        """Its name in the study."""
        return str(self.config["name"])

    @cached_property
    def records(self) -> pd.DataFrame:
        """Its records."""
        rows: pd.DataFrame = self.view.records[self.view.records["arm"] == self.name]
        return rows

    @property
    def seed(self) -> int:
        """The seed whose rows are shown: the first."""
        return int(self.view.config["seeds"][0])

    @cached_property
    def keys(self) -> list[dict[str, str]]:
        """The stage keys of each complete generation at that seed."""
        return self.view.keys(self.name, self.seed)


def study_titles(views: Sequence[StudyView]) -> list[str]:
    """Return a title for each study: its name, with its folder or a number where two are equal."""
    names = [str(view.config["name"]) for view in views]
    folders = [view.store.root.resolve().name for view in views]
    marks = (
        folders if len(set(folders)) == len(folders) else [str(i + 1) for i in range(len(views))]
    )
    return [
        f"{name} ({mark})" if names.count(name) > 1 else name
        for name, mark in zip(names, marks, strict=True)
    ]


def shown_arms(views: Sequence[StudyView]) -> list[ShownArm]:
    """Return the arms that have records, study by study, in the order of their configuration."""
    titles, arms = study_titles(views), list[ShownArm]()
    for study, view in enumerate(views):
        present = set(view.records["arm"])
        for config in view.arms:
            if config["name"] in present:
                prefix = f"{titles[study]}: " if len(views) > 1 else ""
                label = f"{prefix}{config['name']}"
                arms.append(ShownArm(len(arms), label, config, study, view))
    return arms
