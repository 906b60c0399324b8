"""How much of a fall of entropy its estimate can show, for the arms of a study."""

from __future__ import annotations

from entroloop.errors import InputError
from entroloop.features import extractor_for
from entroloop.metrics.entropy import entropy_attenuation
from entroloop.report.read import StudyView
from entroloop.samples import as_vectors
from entroloop.seeding import rng_for
from entroloop.system.numbers import alike, percent

ROWS = 2000  # of a training set, at most: the table is made with the page


def attenuations(view: StudyView) -> list[str]:
    """Return a sentence for each arm on its first seed, from generation 2 to the last.

    Empty for studies of fewer than 3 generations, and where training sets cannot be compared.
    """
    last, sentences = int(view.records["generation"].max()), []
    seed = view.config["seeds"][0]
    if last < 3:
        return []
    extractor = extractor_for(view.config["metrics"]["features"]).seeing(view.real.decoder)
    for arm in (a["name"] for a in view.arms):
        if len(view.keys(arm, seed)) < last:
            continue
        own = extractor.fitted_to(view.training_set(arm, seed, 1))
        sets = []
        for generation in (2, last):
            rows = view.training_set(arm, seed, generation)
            drawn = rng_for(seed, generation, "attenuation").permutation(len(rows))[:ROWS]
            sets.append(as_vectors(own(rows[drawn])))
        try:
            found = entropy_attenuation(*sets, seed=seed)
        except InputError:
            continue
        share = f", {percent(found.share)} of it" if 0 < found.share < 2 else ""
        estimated, normal, seen = alike(found.estimated, found.normal, found.seen)
        sentences.append(
            f"{arm}: estimated change {estimated} nats; normal sets of the same spectra change by "
            f"{normal}, of which the estimate shows {seen}{share} "
            f"(n = {found.n:,}, {found.d} directions, seed {seed})."
        )
    return sentences
