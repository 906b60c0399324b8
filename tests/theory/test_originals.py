"""Metrics of texts and tables as they are, on sets whose roles are exchanged."""

import numpy as np
import pytest

import entroloop as el
from entroloop.metrics import METRICS, Sets
from entroloop.metrics.originals import OF_ORIGINALS
from entroloop.metrics.text import distinct_n
from entroloop.modalities.table import Schema
from entroloop.modalities.text import rows_of
from entroloop.seeding import rng_for

# Against the same sets with generated and train exchanged, each metric must be larger (+) or
# smaller (−), or has nothing to do with them (=):
DIRECTIONS = {
    "distinct_1": "-", "distinct_2": "-", "self_bleu": "+", "copied_share": "+",
    "copied_share_real": "+", "distinct_1_floor": "=", "distinct_2_floor": "=",
    "self_bleu_floor": "=", "copied_share_floor": "+", "copied_share_real_floor": "=",
    "perplexity": "=", "tail_mass": "=",
    "marginal_drift": "+", "correlation_drift": "+", "rare_categories": "-",
    "marginal_drift_floor": "=", "correlation_drift_floor": "=", "rare_categories_floor": "=",
}  # fmt: skip


def texts():
    """Generated ones are poor, and parts of real and training texts."""
    found = {
        "generated": rows_of(["a b c d", "a b c d e"], 40),
        "train": rows_of(["a b c d e f g", "h i j k l m n o p q r s"], 40),
        "reference": rows_of(["t u v w x", "c d e f"], 40),
        "real": rows_of(["a b c d e f g" + 1500 * " z"], 3100),
    }
    return found, {"likelihood": np.where(found["reference"] > 0, -1.0, np.nan)}


def tables():
    """Generated ones have lost what two columns share, and the rare categories."""
    number = np.random.default_rng(0).standard_normal(300)
    category = np.array(["a"] * 290 + ["b"] * 10)
    schema = Schema.of({"x": number, "y": number, "c": category}, ["c"])
    real = schema.encoded({"x": number, "y": number, "c": category})
    poor = schema.encoded({"x": number + 1, "y": number[::-1], "c": np.array(["a"] * 300)})
    found = {"generated": poor, "train": real, "reference": real, "real": real[:200]}
    return found, {"schema": schema}


@pytest.mark.parametrize("name", OF_ORIGINALS)
def test_a_metric_that_swaps_generated_and_train_is_found(name):
    sets, more = tables() if " table" in METRICS[name].needs[0] else texts()
    swapped = sets | {"generated": sets["train"], "train": sets["generated"]}
    one, two = (METRICS[name].value(Sets(originals=own, **more)) for own in (sets, swapped))
    assert {1: "+", 0: "=", -1: "-"}[int(np.sign(one - two))] == DIRECTIONS[name]


def test_of_more_texts_than_the_other_set_has_one_draw_is_taken():
    words = [f"w{i} w{i // 3}" for i in range(60)]
    sets = Sets(originals={"generated": rows_of(words, 8), "reference": rows_of(words[:20], 8)})
    drawn = np.sort(rng_for(0, 0, "texts").choice(60, 20, replace=False))
    taken = rows_of([words[i] for i in drawn], 8)
    assert METRICS["distinct_1"].value(sets) == distinct_n(taken, 1)
    assert METRICS["distinct_1"].value(sets) != distinct_n(rows_of(words[:20], 8), 1)
    assert METRICS["distinct_1"].note(sets) == "taken on 20, as many as both sets have"
    assert METRICS["distinct_1_floor"].note(sets) == ""


@pytest.mark.parametrize("numbers", [(400, 100), (100, 400)])
def test_texts_of_one_source_have_the_variety_of_their_floor_at_any_numbers(rng, numbers):
    letters = list("abcde")
    generated, reference = (
        rows_of([" ".join(rng.choice(letters, 7)) for _ in range(n)], 16) for n in numbers
    )
    found = el.measure(
        generated=generated, reference=reference, features="ngrams",
        metrics=["distinct_2", "self_bleu"],
    )  # fmt: skip
    for name in ("distinct_2", "self_bleu"):
        floor = found[f"{name}_floor"].value
        assert found[name].value == pytest.approx(floor, rel=0.15)
        larger = found[name if numbers[0] > numbers[1] else f"{name}_floor"]
        assert "taken on 100, as many as both sets have" in larger.note
