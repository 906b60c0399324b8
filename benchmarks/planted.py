"""What the metrics say of planted faults, on real CIFAR-10 (ENTROLOOP_DATA names the folder).

python benchmarks/planted.py --network PATH [copies] [faults] [--write docs/metrics.md]

copies: which definition of memorization finds which kind of copy. faults: how every metric moves
under copying, mode dropping, blur and labels of another class. `--write` puts the tables between
the marks of the page. The network: any TorchScript extractor of 32 × 32 × 3 images.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from entroloop.data.loading import read_set
from entroloop.features import extractor_for
from entroloop.metrics import METRICS, Sets
from entroloop.metrics.measure import measure
from entroloop.metrics.neighbourhood import auth_rows_of, memorized_rows_of

N = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["copies", "faults"])
    parser.add_argument("--network", required=True)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    for part in options.parts:
        table = PARTS[part](options.network)
        print(table, flush=True)
        if options.write:
            page = options.write.read_text()
            start, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
            before, rest = page.split(start)
            options.write.write_text(f"{before}{start}\n{table}\n{end}{rest.split(end)[1]}")


def images(name: str) -> tuple[np.ndarray, np.ndarray]:
    folder = Path(os.environ["ENTROLOOP_DATA"]) / "cifar10"
    found = read_set(folder / f"{name}.parquet", name, columns=["label"])
    return found.data, np.asarray(found.columns["label"])


def real() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        "generated": images("test-00000-of-00001"),
        "train": images("train-00000-of-00004"),
        "reference": images("train-00001-of-00004"),
    }


def noisy(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = rng.integers(-2, 3, x.shape, dtype=np.int16)
    return np.clip(x.astype(np.int16) + noise, 0, 255).astype(np.uint8)


def shifted(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x[:, :, :1], x[:, :, :-1]], axis=2)


def copies(network: str) -> str:
    """10 % exact copies, 10 % with ±2 grey levels of noise, 10 % shifted by a pixel, 70 % untouched."""
    sets, rng = real(), np.random.default_rng(0)
    train, generated = sets["train"][0], sets["generated"][0].copy()
    tenth = N // 10
    source = rng.choice(N, 3 * tenth, replace=False)
    generated[:tenth] = train[source[:tenth]]
    generated[tenth : 2 * tenth] = noisy(train[source[tenth : 2 * tenth]], rng)
    generated[2 * tenth : 3 * tenth] = shifted(train[source[2 * tenth :]])
    kinds = {"exact": slice(0, tenth), "±2 grey levels": slice(tenth, 2 * tenth),
             "shifted one pixel": slice(2 * tenth, 3 * tenth), "untouched": slice(3 * tenth, N)}  # fmt: skip
    spaces = {"pixels": "pixels", "pixels:pca=16": "pixels:pca=16", "pixels:pca=64": "pixels:pca=64",
              "ResNet-20": f"torchscript:{network}"}  # fmt: skip
    lines = [
        "| features | definition | " + " | ".join(kinds) + " |",
        "|---|---|" + "---|" * len(kinds),
    ]
    whole = [
        "| features | statistic | without copies | with the planted copies |",
        "|---|---|---|---|",
    ]
    for title, name in spaces.items():
        extractor = extractor_for(name).fitted_to(sets["reference"][0])
        rows = {role: extractor(data) for role, (data, _) in sets.items()}
        planted = Sets(**{**rows, "generated": extractor(generated)})
        clean = Sets(**rows)
        flags = {
            "d₁/d₂ < 1/3": memorized_rows_of(planted),
            "not authentic (AuthPct)": ~auth_rows_of(planted),
        }
        for definition, flagged in flags.items():
            shares = " | ".join(f"{100 * flagged[part].mean():.1f} %" for part in kinds.values())
            lines.append(f"| {title} | {definition} | {shares} |")
        if title == "ResNet-20":
            for metric in (
                "c_t",
                "fld",
                "fld_gap",
                "mifid",
                "drift_novelty",
                "generalization_score",
            ):
                a, b = (METRICS[metric].value(s) for s in (clean, planted))
                whole.append(f"| {title} | {metric} | {a:.4g} | {b:.4g} |")
    return "\n".join([*lines, "", *whole])


def faults(network: str) -> str:
    """Value without a fault, and under each; the change in half-widths of the 95 % interval."""
    sets, rng = real(), np.random.default_rng(0)
    extractor = extractor_for(f"torchscript:{network}")
    data, labels = sets["generated"]
    train = sets["train"][0]
    half = rng.permutation(N)[: N // 2]
    copied = data.copy()
    copied[half] = noisy(train[half], rng)
    kept = np.flatnonzero(labels < 5)
    dropped = data[np.concatenate([kept, rng.choice(kept, N - len(kept), replace=False)])]
    blurred = gaussian_filter(data, sigma=(0, 0.7, 0.7, 0))
    rows = {role: extractor(x) for role, (x, _) in sets.items()}
    base = measure(**rows, metrics=[m for m in METRICS if m != "inception_score"])
    columns = {}
    for title, x in {"copying": copied, "mode dropping": dropped, "blur": blurred}.items():
        faulty = Sets(**{**rows, "generated": extractor(x)})
        columns[title] = {name: METRICS[name].value(faulty) for name in base}
        print(title, flush=True)
    # Labels: dogs are asked for; half of what comes are cats.
    dogs = {role: rows[role][y == 5] for role, (_, y) in sets.items()}
    n = min(map(len, dogs.values()))
    dogs = {role: x[:n] for role, x in dogs.items()}
    mixed = {**dogs, "generated": np.concatenate(
        [dogs["generated"][: n // 2], rows["generated"][labels == 3][: n - n // 2]])}  # fmt: skip
    of_dogs = measure(**dogs, metrics=list(base))
    wrong = {name: METRICS[name].value(Sets(**mixed)) for name in base}
    lines = [
        "| metric | no fault | copying | mode dropping | blur | dogs | dogs, half of them cats |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in base.items():
        cells = [_moved(found, columns[title][name]) for title in columns]
        last = _moved(of_dogs[name], wrong[name])
        lines.append(
            f"| {name} | {found.value:.4g} | {' | '.join(cells)} | {of_dogs[name].value:.4g} | {last} |"
        )
    return "\n".join(lines)


def _moved(found, value: float) -> str:
    """Return a value, with its change in half-widths of the interval where it is outside."""
    if found.interval is None:
        return f"{value:.4g}"
    half = (found.interval[1] - found.interval[0]) / 2
    if not abs(value - found.value) > 2 * half:
        return f"{value:.4g}"
    moved = (value - found.value) / half if half else np.inf
    return f"**{value:.4g}** ({moved:+.0f})"


PARTS = {f.__name__: f for f in (copies, faults)}

if __name__ == "__main__":
    main()
