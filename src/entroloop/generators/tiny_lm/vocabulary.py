"""A vocabulary of bytes and of pairs merged by how often they occur (Sennrich et al. 2016).

Token 0 ends a text, tokens 1 … 255 are the bytes, and each merge adds a token. Merges stay within
words: a word begins with the space before it, and signs are apart from letters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

END = 0
BYTES = 256
PIECES = re.compile(rb" ?[\w\x80-\xff]+| ?[^\s\w\x80-\xff]+|\s")

Pair = tuple[int, int]
Word = tuple[int, ...]


@dataclass(frozen=True)
class Vocabulary:
    """Tokens: merges[i] is what token 256 + i joins."""

    merges: tuple[Pair, ...] = ()

    @classmethod
    def learned(cls, texts: Sequence[bytes], size: int) -> Vocabulary:
        """Return at most `size` tokens: the most frequent pair is merged, again and again.

        Of pairs that are equally frequent the smallest is taken; what occurs once is not merged.
        """
        counts = Counter(piece for text in texts for piece in PIECES.findall(text))
        words: list[Word] = [tuple(word) for word in counts]
        weights = list(counts.values())
        pairs: Counter[Pair] = Counter()
        where: dict[Pair, set[int]] = {}
        for i, word in enumerate(words):
            for pair in pairwise(word):
                pairs[pair] += weights[i]
                where.setdefault(pair, set()).add(i)
        merges: list[Pair] = []
        while BYTES + len(merges) < size and pairs:
            best = min(pairs, key=lambda pair: (-pairs[pair], pair))
            if pairs[best] < 2:
                break
            new = BYTES + len(merges)
            merges.append(best)
            for i in where[best].copy():
                for pair in pairwise(words[i]):
                    pairs[pair] -= weights[i]
                words[i] = merged(words[i], best, new)
                for pair in pairwise(words[i]):
                    pairs[pair] += weights[i]
                    where.setdefault(pair, set()).add(i)
            del pairs[best]
            if len(merges) % 64 == 0:
                pairs = +pairs
        return cls(tuple(merges))

    def __len__(self) -> int:
        return BYTES + len(self.merges)

    @cached_property
    def tokens(self) -> list[bytes]:
        """The bytes of each token; none of token 0."""
        found = [b"", *(bytes([value]) for value in range(1, BYTES))]
        for first, second in self.merges:
            found.append(found[first] + found[second])
        return found

    @cached_property
    def _ranks(self) -> dict[Pair, int]:
        return {pair: rank for rank, pair in enumerate(self.merges)}

    @cached_property
    def _known(self) -> dict[bytes, Word]:
        return {}

    def encoded(self, text: bytes) -> list[int]:
        """Return the tokens of a text, without an end."""
        found: list[int] = []
        for piece in PIECES.findall(text):
            if piece not in self._known:
                self._known[piece] = self._word(tuple(piece))
            found += self._known[piece]
        return found

    def _word(self, word: Word) -> Word:
        ranks = self._ranks
        while len(word) > 1:
            best = min(pairwise(word), key=lambda pair: ranks.get(pair, len(ranks)))
            if best not in ranks:
                break
            word = merged(word, best, BYTES + ranks[best])
        return word


def merged(word: Word, pair: Pair, new: int) -> Word:
    """Return a word in which each occurrence of a pair, from the left, is one token.

    >>> merged((1, 1, 1, 2), (1, 1), 300)
    (300, 1, 2)
    """
    out: list[int] = []
    i = 0
    while i < len(word):
        if word[i : i + 2] == pair:
            out.append(new)
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)
