"""Metrics of texts on cases that can be counted by hand, and against plain loops."""

import math
from difflib import SequenceMatcher

import numpy as np
import pytest
from torchmetrics.functional.text import bleu_score

import entroloop as el
from entroloop.metrics import passages
from entroloop.metrics.text import (
    _closest_lengths,
    copied_share,
    distinct_n,
    perplexity,
    self_bleu,
    self_bleu_rows,
    tail_mass,
)
from entroloop.modalities.text import rows_of, texts_of


def random_texts(rng, n, letters="ab ", most=24):
    return ["".join(rng.choice(list(letters), rng.integers(0, most))) for _ in range(n)]


def test_distinct_n_is_the_share_of_different_sequences_of_words():
    rows = rows_of(["a b a b", "b a", "c"], 16)
    assert distinct_n(rows, 1) == 3 / 7
    assert distinct_n(rows, 2) == 2 / 4
    assert distinct_n(rows, 3) == 2 / 2
    assert math.isnan(distinct_n(rows, 5))


def test_self_bleu_is_bleu_with_all_others_as_references(rng):
    words = ["sun", "moon", "star", "sky", "cloud"]
    texts = [" ".join(rng.choice(words, rng.integers(3, 12))) for _ in range(40)]
    texts += [texts[0], "a sun"]
    texts.sort(key=lambda text: len(text.split()))  # of equally close lengths it takes the first
    expected = [
        float(bleu_score([text], [texts[:i] + texts[i + 1 :]])) for i, text in enumerate(texts)
    ]
    assert np.allclose(self_bleu_rows(rows_of(texts, 120)), expected, atol=1e-6)
    copies = [i for i, text in enumerate(texts) if texts.count(text) > 1]
    assert self_bleu_rows(rows_of(texts, 120))[copies] == pytest.approx(1)


def test_self_bleu_does_not_depend_on_the_order_of_texts():
    texts = ["a b c d e f", "a b c d e", "a b c d e f g"]  # two lengths are as close to the first
    one, two = (self_bleu_rows(rows_of([texts[i] for i in order], 40))
                for order in ((0, 1, 2), (0, 2, 1)))  # fmt: skip
    assert one.tolist() == two[[0, 2, 1]].tolist()
    assert one[0] == 1  # no penalty beside the shorter one


def test_the_length_closest_to_a_texts_own_is_that_of_the_shorter_of_two_as_close():
    assert _closest_lengths(np.array([5, 9, 10])).tolist() == [9, 10, 9]
    assert _closest_lengths(np.array([4, 6, 8, 1])).tolist() == [6, 4, 6, 4]
    assert _closest_lengths(np.array([3, 3, 9])).tolist() == [3, 3, 3]


def test_self_bleu_needs_another_text():
    with pytest.raises(el.InputError, match="with others"):
        self_bleu(rows_of(["a"], 4))


@pytest.mark.parametrize("limit", [passages.BYTES, 10_000, 1])
def test_the_longest_shared_passage_is_that_of_a_plain_search(rng, monkeypatch, limit):
    monkeypatch.setattr(passages, "BYTES", limit)  # of eight texts, or text by text
    texts, others = (rows_of(random_texts(rng, 60), 24) for _ in range(2))
    found = passages.shared_passages(texts, others)
    for i, text in enumerate(texts_of(texts)):
        expected = max(
            SequenceMatcher(None, text, o, autojunk=False).find_longest_match().size
            for o in texts_of(others)
        )
        assert found.length[i] == expected
        first = min(  # by the text that holds it, the place in that, the place in its own
            (row, other.find(text[start : start + expected]), start)
            for start in range(len(text) - expected + 1)
            for row, other in enumerate(texts_of(others))
            if text[start : start + expected] in other
        ) if expected else (0, 0, 0)  # fmt: skip
        assert (found.row[i], found.row_start[i], found.start[i]) == first


def test_the_copied_share_is_1_for_parts_and_0_for_other_letters():
    train = rows_of(["the quick brown fox", "jumps"], 24)
    assert copied_share(generated=rows_of(["quick brown", "ump"], 11), train=train) == 1
    assert copied_share(generated=rows_of(["123", ""], 24), train=train) == 0
    assert copied_share(generated=rows_of(["fox1", "12"], 24), train=train) == 3 / 8


def test_perplexity_of_a_uniform_model_is_the_number_of_its_signs():
    found = np.full((3, 8), np.nan)
    found[:, :5] = -math.log(7)
    assert perplexity(found) == pytest.approx(7)


def test_tail_mass_counts_rare_words_that_get_at_least_their_frequency():
    real = rows_of(["common " * 9 + "rare"], 80)
    reference = rows_of(["common rare never rare"], 40)
    likelihood = np.zeros(reference.shape)
    at = [0, 6, 11, 17]  # where each word begins, with its space
    likelihood[0, at] = np.log([0.5, 0.11, 0.09, 0.2])
    share = tail_mass(reference=reference, real=real, log_likelihood=likelihood, rare=0.5)
    assert share == 2 / 3  # both of "rare"; "never" counts as if it had been read once
    assert tail_mass(reference=reference, real=real, log_likelihood=likelihood, rare=1) == 2 / 4
    none = tail_mass(reference=reference, real=real, log_likelihood=likelihood, rare=0.01)
    assert math.isnan(none)
