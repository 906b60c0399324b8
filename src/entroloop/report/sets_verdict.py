"""What opens the page of measured sets: memorized? covers? like real? each in a line."""

from __future__ import annotations

from collections.abc import Mapping

from entroloop.metrics.measure import Measurement
from entroloop.system.numbers import number, percent, percent_with_interval, with_interval

NO_REFERENCE = "not asked: it takes held-out real rows (--reference)"


def sets_verdict(found: Mapping[str, Measurement]) -> list[tuple[str, str]]:
    """Return three questions with their answers, of what was measured and its intervals alone."""
    return [
        ("Memorized?", _memorized(found)),
        ("Covers?", _covers(found)),
        ("Like real?", _like_real(found)),
    ]


def _memorized(found: Mapping[str, Measurement]) -> str:
    """Judge by the share of copies, which some rows decide, and by C_T, which all rows do.

    Held-out rows are the null of both: what they have is no memorization.
    """
    if "memorized_fraction" not in found:
        return "not asked: it takes the training rows (--train)"
    share = found["memorized_fraction"]
    told = (
        f"{_share(share)} of generated rows are three times "
        "nearer to one training row than to the next"
    )
    nearer, chance = found.get("c_t"), found.get("memorized_fraction_reference")
    if nearer is None or nearer.interval is None:
        return f"{told}; give held-out rows (--reference) to judge it"
    copies = False
    if chance is not None:
        told += f" (of held-out rows {_share(chance)})"
        if share.interval is not None and chance.interval is not None:
            copies = share.interval[0] > chance.interval[1]
    low, high = nearer.interval
    side = (
        "nearer to training rows than" if high < 0
        else "farther from training rows than" if low > 0
        else "as near to training rows as"
    )  # fmt: skip
    as_a_whole = f"as a whole they lie {side} held-out rows do (C_T {_number(nearer)})"
    if copies:
        return f"yes: {told}; {as_a_whole}"
    seen = "yes" if high < 0 else "no" if low > 0 else "not seen"
    return f"{seen}: {as_a_whole}; {told}"


def _covers(found: Mapping[str, Measurement]) -> str:
    if "coverage" not in found:
        return NO_REFERENCE
    share = found["coverage"]
    best = (
        ""
        if share.floor is None
        else f"; one draw of them covers {percent(share.floor)} of another"
    )
    return f"{_share(share)} of held-out rows have a generated row in their neighbourhood{best}"


def _like_real(found: Mapping[str, Measurement]) -> str:
    if "frechet_distance" not in found:
        return NO_REFERENCE
    distance = found["frechet_distance"]
    floor = "" if distance.floor is None else f" ({number(distance.floor)} between real draws)"
    precise = found.get("precision")
    within = ""
    if precise is not None:
        share = f"{_share(precise)}"
        within = f"; {share} of generated rows lie within a real neighbourhood"
    return f"Fréchet distance {_number(distance)}{floor}{within}"


def _share(found: Measurement) -> str:
    return percent_with_interval(found.value, found.interval)


def _number(found: Measurement) -> str:
    return with_interval(found.value, found.interval)
