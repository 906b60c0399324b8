"""Texts themselves: variety of words, passages that are copied, and what a model makes of held-out
words. Texts are uint8 rows (n, length), zeros after the end.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from entroloop.errors import InputError
from entroloop.metrics.passages import shared_passages
from entroloop.metrics.sets import Sets
from entroloop.modalities.text import lengths_of, texts_of, words_of
from entroloop.samples import Array, Float64

BLEU_ORDER = 4
RARE = 1e-3  # of all words of the real training text: words below this are rare
LETTERS = re.compile(rb" ?([\w\x80-\xff]+)")  # a word, with the space that tokens begin with

Words = tuple[str, ...]


def distinct_n(texts: Array, n: int) -> float:
    """Return the share of different ones among all sequences of n words (Li et al. 2016).

    It falls with the number of texts, so that only equal numbers compare. NaN where no text has n
    words.

    >>> from entroloop.modalities.text import rows_of
    >>> distinct_n(rows_of(["a b a", "a b"], 8), 2)  # a b, b a, a b
    0.6666666666666666
    """
    grams = [gram for text in texts_of(texts) for gram in _grams(words_of(text), n)]
    return len(set(grams)) / len(grams) if grams else math.nan


def self_bleu(texts: Array) -> float:
    """Return the mean BLEU-4 of each text with all others as its references (Zhu et al. 2018).

    Not smoothed: 0 for a text that shares no sequence of four words. Of two lengths that are as
    close to a text's own the shorter counts. High means little variety; it rises with the number of
    texts, so that only equal numbers compare.

    Raises InputError for fewer than two texts.
    """
    return float(self_bleu_rows(texts).mean())


def self_bleu_rows(texts: Array) -> Float64:
    """Return each text's term of `self_bleu`, which is their mean."""
    if len(texts) < 2:
        raise InputError(f"self-BLEU compares texts with others; got {len(texts)}")
    words = [words_of(text) for text in texts_of(texts)]
    lengths = np.array([len(own) for own in words])
    logs = np.zeros(len(words))
    for n in range(1, BLEU_ORDER + 1):
        counts = [Counter(_grams(own, n)) for own in words]
        most = _two_largest(counts)
        for i, own in enumerate(counts):
            kept = sum(min(count, _of_others(most[gram], i)) for gram, count in own.items())
            logs[i] += math.log(kept / own.total()) / BLEU_ORDER if kept else -math.inf
    penalty = np.minimum(0.0, 1 - _closest_lengths(lengths) / np.maximum(lengths, 1))
    return np.asarray(np.exp(logs + penalty))


def _grams(words: Sequence[str], n: int) -> list[Words]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def _two_largest(counts: Sequence[Counter[Words]]) -> dict[Words, tuple[int, int, int]]:
    """Return for each sequence the text that has it most often, how often, and the next count."""
    found: dict[Words, tuple[int, int, int]] = {}
    for i, own in enumerate(counts):
        for gram, count in own.items():
            first, most, second = found.get(gram, (-1, 0, 0))
            found[gram] = (i, count, most) if count > most else (first, most, max(second, count))
    return found


def _of_others(most: tuple[int, int, int], i: int) -> int:
    return most[2] if most[0] == i else most[1]


def _closest_lengths(lengths: Array) -> Float64:
    """Return for each text the length of another that is closest to its own, the shorter of two."""
    order = np.argsort(lengths, kind="stable")
    ends = np.concatenate([[-np.inf], lengths[order], [np.inf]])
    shorter, own, longer = ends[:-2], ends[1:-1], ends[2:]
    closest = np.empty(len(lengths))
    closest[order] = np.where(own - shorter <= longer - own, shorter, longer)
    return closest


def copied_share(*, generated: Array, train: Array) -> float:
    """Return the mean share of a text's bytes in its longest passage that stands in `train`.

    1: every text is part of a training text. Any two texts of a language share passages: compare
    with the same of held-out texts.
    """
    return float(copied_rows(generated, train).mean())


def copied_rows(texts: Array, others: Array) -> Float64:
    """Return each text's longest common substring with any of the others over its length."""
    shares: Float64 = shared_passages(texts, others).length / np.maximum(lengths_of(texts), 1)
    return shares


def perplexity(log_likelihood: Array) -> float:
    """Return the perplexity per byte: exp of minus the mean of ln p over the bytes of texts.

    log_likelihood: (n, length), what the model gives, NaN after a text. 256 for a model that knows
    nothing; ln of it is in nats per byte, and does not depend on the vocabulary.
    """
    return float(np.exp(-np.nanmean(log_likelihood)))


def tail_mass(*, reference: Array, real: Array, log_likelihood: Array, rare: float = RARE) -> float:
    """Return the share of rare held-out words to which a model still gives their own frequency.

    Rare words have a frequency below `rare` in the real training text; one that does not occur
    there counts as if it did once. Of their occurrences in held-out text those count at which the
    model's probability of the word, given what precedes it, is at least that frequency. A model
    that has lost its tails knows fewer and fewer. NaN where no held-out word is rare.

    log_likelihood: of the reference, (n, length), with a token's value at its first byte.
    """
    counts = Counter(word for text in texts_of(real) for word in LETTERS.findall(text))
    total = max(1, counts.total())
    known = rows = 0
    for text, scores in zip(texts_of(reference), log_likelihood, strict=True):
        for found in LETTERS.finditer(text):
            frequency = max(counts[found[1]], 1) / total
            if frequency < rare:
                rows += 1
                known += scores[found.start() : found.end()].sum() >= math.log(frequency)
    return known / rows if rows else math.nan


def perplexity_of(sets: Sets) -> float:
    """See `perplexity`."""
    return perplexity(sets.likelihood)


def tail_mass_of(sets: Sets) -> float:
    """See `tail_mass`."""
    return tail_mass(
        reference=sets.original("reference"), real=sets.original("real"),
        log_likelihood=sets.likelihood,
    )  # fmt: skip
