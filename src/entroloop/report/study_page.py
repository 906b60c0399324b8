"""The page of one or more studies: what its template is filled with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from entroloop.report.answer import JUDGE, answer
from entroloop.report.arms import ShownArm, shown_arms, study_titles
from entroloop.report.attenuation import attenuations
from entroloop.report.figures import curves, provenance, relation
from entroloop.report.first_generation import first_generation_table
from entroloop.report.pictures import pictures, projections
from entroloop.report.profile import profile
from entroloop.report.read import StudyView
from entroloop.report.study_tables import (
    arms_table,
    claims_table,
    decisions_table,
    last_table,
    memorization_table,
)
from entroloop.report.study_words import geometry, verdict
from entroloop.report.tabular import tabular_tables
from entroloop.report.texts import texts_tables


def study_page(views: Sequence[StudyView]) -> dict[str, Any]:
    """Return the content of the page: what each study says, and what all of them share."""
    arms = shown_arms(views)
    found, said = relation(arms, views)
    sections = [
        _section(view, number, title, [arm for arm in arms if arm.study == number], said[number])
        for number, (view, title) in enumerate(zip(views, study_titles(views), strict=True))
    ]
    failed = [s["answer"].failed for s in sections]
    shown, axes = pictures(arms, views), projections(arms, views)
    drawn = curves(arms)
    charts = {"judge": [one for one in drawn if one["id"] == JUDGE],
              "curves": [one for one in drawn if one["id"] != JUDGE],
              "relation": [found] if found else [], "provenance": provenance(arms)}  # fmt: skip
    return {
        "title": ", ".join(study_titles(views)),
        "studies": sections,
        "differ": _differences(views),
        "profile": profile(arms, views, failed),
        "last": last_table(arms),
        "seeds": max(len(view.config["seeds"]) for view in views),
        "charts": charts,
        "pictures": shown,
        "projections": axes,
        "data": {
            "arms": [
                {"index": arm.index, "name": arm.label, "failed": failed[arm.study]}
                for arm in arms
            ],
            "charts": charts, "pictures": shown, "projections": axes,
        },
    }  # fmt: skip


def _section(
    view: StudyView, number: int, title: str, arms: Sequence[ShownArm], said: str
) -> dict[str, Any]:
    """Return what one study says."""
    import yaml

    found = answer(view)
    last = int(view.records["generation"].max())
    memorized, disagree = memorization_table(f"memorization-{number}", view, arms)
    return {
        "number": number,
        "title": title,
        "seeds": sorted(view.config["seeds"]),
        "generator": ", ".join(sorted({arm["generator"]["name"] for arm in view.arms})),
        "n_train": view.n_train,
        "features": view.config["metrics"]["features"],
        "answer": found,
        "first": first_generation_table(f"first-generation-{number}", view),
        "arms": arms_table(f"arms-{number}", found, arms, last),
        "verdict": verdict(view.records, view.arms),
        "relation": said,
        "geometry": geometry(view.records, view.controls),
        "claims": claims_table(f"claims-{number}", view, found.failed),
        "decisions": decisions_table(f"decisions-{number}", view, arms),
        "memorization": memorized,
        "disagree": disagree,
        "rows": texts_tables(number, view, arms) + tabular_tables(number, view, arms),
        "attenuations": attenuations(view),
        "config": yaml.safe_dump(view.config, sort_keys=False, allow_unicode=True),
        "environment": view.environment,
    }


def _differences(views: Sequence[StudyView]) -> list[str]:
    """Return what keeps figures of these studies from being compared with one another."""
    asked = {
        "N": [view.n_train for view in views],
        "the features of metrics": [view.config["metrics"]["features"] for view in views],
        "the data": [str(view.config["data"].get("path", view.config["data"]["source"]))
                     for view in views],
        "the number of held-out rows": [view.config["data"]["n_reference"] for view in views],
    }  # fmt: skip
    return [
        f"{name} ({', '.join(map(str, dict.fromkeys(values)))})"
        for name, values in asked.items()
        if len(set(values)) > 1
    ]
