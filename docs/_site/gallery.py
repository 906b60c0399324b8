"""The gallery: sets that are healthy, memorized or collapsed, made from scikit-learn's digits at
build time, and the metrics that see what is wrong with each. No figure on it is typed.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

import numpy as np
from sklearn.datasets import load_digits

import entroloop as el
from entroloop.distances.neighbors import nearest
from entroloop.metrics import METRICS

ROWS, TRAIN, REFERENCE = 240, 500, 497
DRAWS = 20  # healthy sets, whose spread tells what is out of the ordinary
SHOWN = (
    "frechet_distance", "kernel_distance", "precision", "recall", "coverage", "memorized_fraction",
    "auth_pct", "c_t", "entropy_samples", "total_variance", "effective_rank", "vendi_score",
)  # fmt: skip
SEEN = 4.0  # standard deviations of healthy sets


@dataclass(frozen=True)
class Planted:
    """A set with a planted fault: what it is called, what was done, and what one looks for."""

    title: str
    text: str
    rows: np.ndarray


@dataclass(frozen=True)
class Digits:
    """Real rows in three parts, 64 values in 0 … 1, and the class of those that are left."""

    train: np.ndarray
    reference: np.ndarray
    left: np.ndarray
    labels: np.ndarray


@cache
def digits():
    """Return the digits, split once."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.data))
    x, labels = data.data[order] / 16, data.target[order]
    a, b = TRAIN, TRAIN + REFERENCE
    return Digits(x[:a], x[a:b], x[b:], labels[b:])


@cache
def planted():
    """Return the sets by name."""
    d, rng = digits(), np.random.default_rng(1)
    held_out = d.left[:ROWS]
    copies = d.train[:ROWS] + rng.normal(0, 0.01, (ROWS, 64))
    few = ROWS // 5
    neighbours = nearest(held_out, d.left, k=5).indices
    noise = held_out.copy()
    noise[:few] = rng.permuted(noise[:few], axis=1)
    covariance = np.cov(d.train.T, ddof=0)
    return {
        "healthy": Planted(
            "Healthy", "Real digits that nothing was trained on: what a perfect generator would "
            "give.", held_out,
        ),
        "memorized": Planted(
            "Memorized", "Training rows with a trace of noise (σ = 0.01 of the range). It looks "
            "perfect, and by every distance to real data it is.", copies,
        ),
        "partly-memorized": Planted(
            "One in five memorized", "The healthy set with a fifth of its rows replaced by copies "
            "of training rows.", np.concatenate([copies[:few], held_out[few:]]),
        ),
        "lost-modes": Planted(
            "Lost modes", "Real digits again, but only noughts, ones and twos: each row is good, "
            "the set is not.", d.left[np.flatnonzero(d.labels < 3)[:ROWS]],
        ),
        "lost-variance": Planted(
            "Lost variance", "Each row is the mean of five neighbouring real ones: everything "
            "drifts to the middle, as after some generations on a model's own samples.",
            d.left[neighbours].mean(axis=1),
        ),
        "strays": Planted(
            "Strays", "A fifth of the rows have their pixels shuffled: failed samples, which lie "
            "far from everything and raise the entropy.", noise,
        ),
        "gaussian": Planted(
            "Right moments, wrong shapes", "Samples of a normal distribution with the training "
            "set's mean and covariance.",
            rng.multivariate_normal(d.train.mean(axis=0), covariance, ROWS),
        ),
    }  # fmt: skip


@cache
def measured(name):
    """Return all metrics of a set that are taken without being asked for."""
    d = digits()
    return el.measure(generated=planted()[name].rows, train=d.train, reference=d.reference)


@cache
def healthy_draws():
    """Return the shown metrics of many healthy sets: (draws, metrics)."""
    d, rng = digits(), np.random.default_rng(2)
    table = []
    for _ in range(DRAWS):
        rows = d.left[rng.permutation(len(d.left))[:ROWS]]
        found = el.measure(generated=rows, train=d.train, reference=d.reference, metrics=SHOWN)
        table.append([found[name].value for name in SHOWN])
    return np.array(table)


def deviations(name):
    """Return by how many standard deviations of healthy sets each shown metric is off."""
    draws, found = healthy_draws(), measured(name)
    values = np.array([found[metric].value for metric in SHOWN])
    spread = draws.std(axis=0, ddof=1)
    spread[spread == 0] = 1 / ROWS  # a share that is 0 in all of them: one row is its unit
    return dict(zip(SHOWN, (values - draws.mean(axis=0)) / spread, strict=True))


def values_of(metric):
    """Yield title, value and interval of a metric on four of the sets, if it was taken there."""
    if metric not in METRICS:
        return []
    rows = []
    for name in ("healthy", "memorized", "lost-modes", "lost-variance"):
        found = measured(name).get(metric)
        if found is not None and np.isfinite(found.value):
            interval = found.interval
            ends = "–" if interval is None else f"{interval[0]:.4g} … {interval[1]:.4g}"
            rows.append((planted()[name].title, f"{found.value:.4g}", ends))
    return rows


def files():
    """Return the gallery's page and pictures by path."""
    made = {f"gallery/{name}.png": _sheet(s.rows) for name, s in planted().items()}
    made["gallery.md"] = _page()
    return made


def _page():
    d = digits()
    text = [
        "# Gallery: what collapse looks like, and what sees it", "",
        f"Each set has {ROWS} rows, made from scikit-learn's handwritten digits (8 × 8 pixels, which "
        f"are also the features). {len(d.train)} rows are the training set, {len(d.reference)} others "
        "the reference. A figure in **colour** lies more than "
        f"{SEEN:.0f} standard deviations off, by what {DRAWS} healthy sets of the same size show. "
        "Pictures and figures are made anew each time this site is built.", "",
    ]  # fmt: skip
    for name, one in planted().items():
        alt = f"36 digits of the set “{one.title}”"
        text += [f"## {one.title}", "", f'![{alt}](gallery/{name}.png){{ .pixels loading="lazy" }}',
                 "", one.text, "", _seen_by(name), ""]  # fmt: skip
    titles = [one.title for one in planted().values()]
    text += [
        "## All figures",
        "",
        f"| metric | {' | '.join(titles)} |",
        f"|---|{'--:|' * len(titles)}",
    ]
    off = {name: deviations(name) for name in planted()}
    for metric in SHOWN:
        cells = [_cell(measured(name)[metric].value, off[name][metric]) for name in planted()]
        text.append(f"| [`{metric}`](reference/metrics/{metric}.md) | {' | '.join(cells)} |")
    text += ["", "No metric sees every fault, and several are blind to copies: report a profile."]
    return "\n".join(text) + "\n"


def _seen_by(name):
    off = deviations(name)
    seen = sorted((m for m in off if abs(off[m]) > SEEN), key=lambda m: -abs(off[m]))
    if not seen:
        return (
            "**Seen by** none of the metrics, as it should be."
            if name == "healthy"
            else ("**Seen by** none of the metrics shown.")
        )
    first = ", ".join(f"`{m}` ({off[m]:+.0f})".replace("-", "−") for m in seen[:4])
    blind = [m for m in SHOWN if abs(off[m]) <= SEEN]
    rest = f" Blind to it: {', '.join(f'`{m}`' for m in blind)}." if blind else ""
    return f"**Seen by** {first}, in standard deviations of healthy sets.{rest}"


def _cell(value, off):
    shown = f"{value:.3g}".replace("-", "−")
    return f'<span class="sees">{shown}</span>' if abs(off) > SEEN else shown


def _sheet(rows, columns=12, lines=3, scale=4):
    """Return a contact sheet as PNG: rows spread evenly over the set."""
    from PIL import Image

    chosen = rows[np.linspace(0, len(rows) - 1, columns * lines).astype(int)]
    sheet = np.full((lines * 10 + 2, columns * 10 + 2), 255, dtype=np.uint8)
    for i, row in enumerate(chosen):
        y, x = 2 + 10 * (i // columns), 2 + 10 * (i % columns)
        sheet[y : y + 8, x : x + 8] = np.rint(255 * (1 - np.clip(row, 0, 1))).reshape(8, 8)
    file = io.BytesIO()
    big = Image.fromarray(sheet).resize((sheet.shape[1] * scale, sheet.shape[0] * scale), 0)
    big.save(file, "PNG", optimize=True)
    return file.getvalue()
