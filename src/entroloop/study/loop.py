"""The self-consuming loop, one generation at a time: compose, select, fit, sample, measure, commit.

Every stage is made once per key and found again by it, so that arms share what they have in
common and an interrupted run resumes.
"""

from __future__ import annotations

import numpy as np

from entroloop.errors import InputError
from entroloop.generators import Model, draw
from entroloop.generators.row_format import told_by
from entroloop.generators.table import GENERATORS
from entroloop.metrics import METRICS, RECORDED, Sets
from entroloop.metrics.measure import with_nulls
from entroloop.plugins import PluginError, blamed
from entroloop.samples import Float64, concatenate
from entroloop.seeding import rng_for, seed_for
from entroloop.selection import STRATEGIES, select
from entroloop.selection.realism import realism_weights
from entroloop.store.folder import Store
from entroloop.store.records import to_json
from entroloop.store.stages import TrainingSet, read_decision
from entroloop.study.build import Built
from entroloop.study.history import History
from entroloop.study.plan import Step
from entroloop.system.progress_line import Progress, ProgressOf


def run_generation(
    step: Step, built: Built, store: Store, device: str, progress_of: ProgressOf
) -> None:
    """Make those of the four stages of one generation that are missing."""
    history = History(step, built, store)
    if not store.info("training_set", step.training_set):
        progress_of("training_set")(0, 1)
        with store.commit("training_set", step.training_set) as folder:
            compose_and_select(step, built, history, device).write(folder)
    fit_and_sample(step, built, store, history, device, progress_of)
    if not store.info("record", step.record):
        progress_of("record")(0, 1)
        with store.commit("record", step.record) as folder:
            values = measure_generation(step, built, history, device)
            (folder / "record.json").write_text(to_json(values), "utf-8")


def compose_and_select(step: Step, built: Built, history: History, device: str) -> TrainingSet:
    """Return the training set: real data in generation 1, then what paradigm and strategy say."""
    if step.composition is None:
        return TrainingSet.whole(history.real_train())
    arm, composition = step.arm, step.composition
    kept = history.kept(composition)
    if kept is not None and composition.n_select == 0:
        return TrainingSet.whole(kept)
    candidates = concatenate([history.generation(g) for g in composition.candidates])
    features = history.features(built.arm(arm.name).extractor)
    by_generation = STRATEGIES[arm.strategy].equal_generations and len(composition.candidates) > 1
    rows = features(candidates.data)
    weights = None
    if arm.weights is not None:
        weights = realism_weights(rows, features(history.real_train().data), form=arm.weights)
    selection = select(
        rows,
        composition.n_select,
        arm.strategy,
        metric=arm.metric,
        groups=candidates.provenance if by_generation else None,
        quota="equal",
        weights=weights,
        seed=seed_for(step.seed, step.generation, "select"),
        device=device,
        **arm.strategy_args,
        **history.needed_by(STRATEGIES[arm.strategy], candidates, kept, features),
    )
    return TrainingSet.selected(
        kept, candidates, selection.indices, selection.radii, selection.decision
    )


def fit_and_sample(
    step: Step,
    built: Built,
    store: Store,
    history: History,
    device: str,
    progress_of: ProgressOf,
) -> None:
    """Train this generation's generator, and draw as many samples as the plan asks for."""
    seed, g = step.seed, step.generation
    generator = built.arm(step.arm.name).generator(g)
    plugin = GENERATORS.plugin(built.arm(step.arm.name).generator_names[-1])
    if not store.info("model", step.model):
        progress = progress_of("model")
        progress(0, 1)
        with store.commit("model", step.model) as folder, blamed(plugin):
            fit_model(step, built, store, history, device, progress).save(folder)
    have, wanted = len(store.samples(step.samples)), step.n_samples
    if have < wanted:
        # The stored model samples, never the one just trained: fresh or resumed, the same bits.
        folder = store.path("model", step.model)
        with blamed(plugin):
            model = generator.load(folder, device=device, threads=built.config.threads)
            store.add_samples(
                step.samples,
                lambda: history.valid(draw(model, seed, g, have, wanted, progress_of("samples"))),
                **_classes(model, seed, g),
            )


def fit_model(
    step: Step, built: Built, store: Store, history: History, device: str, progress: Progress
) -> Model:
    """Return the model of this generation, trained on its training set."""
    previous = step.previous_model
    return (
        built.arm(step.arm.name)
        .generator(step.generation)
        .fit(
            history.training_set(),
            seed=step.fit_seed,
            device=device,
            threads=built.config.threads,
            progress=progress,
            scratch=store.scratch(step.model),
            previous=store.path("model", previous) if previous else None,
        )
    )


def _classes(model: Model, seed: int, generation: int) -> dict[str, object]:
    """Return what the labels of samples follow from, where a model draws classes."""
    if model.class_shares is None:
        return {}
    return {"class_shares": list(model.class_shares), "seed": seed, "generation": generation}


def measure_generation(
    step: Step, built: Built, history: History, device: str
) -> dict[str, object]:
    """Return the measured part of the record, in the feature space of the metrics."""
    n, extractor = built.config.n_train, history.features(built.extractor)
    training_set = history.training_set()
    train = extractor(training_set.data)
    drawn = np.arange(len(train))
    if len(train) > n:  # grown: what depends on the number of rows is taken on n of them
        rng = rng_for(step.seed, step.generation, "measure")
        drawn = np.sort(rng.choice(len(train), n, replace=False))
    unselected = history.unselected(training_set.provenance)
    originals = {
        "generated": np.asarray(history.samples_of(step.samples, step.generation, n).data),
        "train": training_set.data[drawn],
        "reference": np.asarray(history.reference().data),
        "real": np.asarray(history.real_train().data),
    }
    sets = Sets(
        generated=extractor(originals["generated"]),
        train=train[drawn],
        train_whole=train,
        reference=extractor(originals["reference"]),
        unselected=None if unselected is None else extractor(unselected.data),
        real=extractor(originals["real"]),
        originals=originals,
        as_images=history.as_images,
        schema=history.schema,
        likelihood=_likelihood(step, built, history, device),
        seed=seed_for(step.seed, step.generation, "measure"),
    )
    values: dict[str, object] = {name: _value_or_nan(name, sets) for name in RECORDED}
    counts = np.bincount(training_set.provenance, minlength=step.generation)
    shares = (counts / len(training_set)).tolist()
    values |= {"real_share": shares[0], "share_by_generation": shares, "n_train": len(train)}
    values["taken"] = read_decision(history.store, step.training_set).get("taken", "")
    wanted = [n for n in with_nulls(built.config.metrics.extra, sets) if n not in RECORDED]
    extra = {name: _value_or_nan(name, sets) for name in wanted}
    extra |= told_by(history.store.path("model", step.model))
    return values | ({"extra": extra} if extra else {})


def _likelihood(step: Step, built: Built, history: History, device: str) -> Float64 | None:
    """Return what the model gives for held-out texts, if a metric asks and the model can tell."""
    if not any("likelihood" in METRICS[name].needs for name in built.config.metrics.extra):
        return None
    generator = built.arm(step.arm.name).generator(step.generation)
    folder = history.store.path("model", step.model)
    model = generator.load(folder, device=device, threads=built.config.threads)
    tell = getattr(model, "log_likelihood", None)
    return None if tell is None else tell(np.asarray(history.reference().data))


def _value_or_nan(name: str, sets: Sets) -> float:
    """Return a metric, NaN where these sets have none: a study does not stop for that."""
    try:
        with blamed(METRICS.plugin(name)):
            return float(METRICS[name].value(sets))
    except PluginError:
        raise
    except InputError:
        return float("nan")
