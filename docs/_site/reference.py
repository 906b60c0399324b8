"""Pages made from the tables and docstrings: a page for every strategy, metric and generator, and
the help of every command. What stands there is typed once, in the code.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path

import docstrings
import gallery
from pydantic_core import PydanticUndefined

from entroloop.cli.examples import EXAMPLES
from entroloop.generators.table import GENERATORS
from entroloop.metrics import METRICS
from entroloop.metrics.metric import WIDE
from entroloop.selection.strategies import STRATEGIES

DOCS = Path(__file__).parents[1]
FAMILIES = {  # file of src/entroloop/metrics: what its metrics cost for n rows of d values
    "copying": "exact neighbours, n² d, by matrix multiplies; fld fits bandwidths besides",
    "drift": "exact neighbours, n² d, by matrix multiplies",
    "entropy": "exact neighbours within the set, n² d, by matrix multiplies",
    "fourier": "512 random frequencies: n d, and covariances of 1,024 features, n · 1024²",
    "frequencies": "one transform an image, n d log d",
    "kernels": "kernels of all pairs, n² d; scores take a decomposition, at most d³",
    "manifold": "exact neighbours, n² d, by matrix multiplies",
    "moments": "covariances, n d², and a decomposition, d³",
    "neighbourhood": "exact neighbours, n² d, by matrix multiplies",
    "sliced": "256 projections and sorts: 256 n (d + log n)",
    "tails": "one pass, n d; tail_coverage exact neighbours, n² d",
    "text": "a pass over all words; for passages all suffixes are sorted, bytes × ln(bytes) × length",
    "columns": "a sort of each column; all pairs of columns, n c²",
}
ROLES = {
    "generated": "generated rows", "train": "training rows", "reference": "held-out real rows",
    "unselected": "unselected rows (studies)", "real": "real training rows (studies)",
    "probabilities": "class probabilities", "images": "images", "train_whole": "training rows",
    "likelihood": "a language model",
    "generated text": "generated texts", "train text": "training texts",
    "reference text": "held-out real texts", "real text": "real training texts (studies)",
    "generated table": "generated tables", "reference table": "held-out real rows of a table",
    "real table": "real training rows of a table (studies)",
}  # fmt: skip


def pages():
    """Return the pages by path."""
    made = {"reference/commands.md": _commands()}
    made |= _folder("strategies", "Strategies", STRATEGY_INTRO, {
        name: (_sentence(row.pick), _strategy(name, row)) for name, row in STRATEGIES.items()
    })  # fmt: skip
    made |= _folder("metrics", "Metrics, one by one", METRIC_INTRO, {
        name: (row.says, _metric(name, row)) for name, row in METRICS.items()
    })  # fmt: skip
    made |= _folder("generators", "Generators", GENERATOR_INTRO, {
        name: (_sentence_of(_module(settings).__doc__), _generator(name, settings))
        for name, settings in GENERATORS.items()
    })  # fmt: skip
    return made


STRATEGY_INTRO = (
    "A strategy chooses n rows of a pool: `el.select(pool, n, strategy)`, "
    "`entroloop select --strategy`, or `strategy:` of an arm. "
    "Which one? [Guarded selection](../../guarded.md) says when selection helps and when it harms."
)
METRIC_INTRO = (
    "`el.measure` and `entroloop measure` take every metric that the given sets allow; a study "
    "takes more by `metrics.extra`. What all of them have in common is in "
    "[Metrics](../../metrics.md)."
)
GENERATOR_INTRO = (
    "A generator is what a study trains anew in each generation: `generator: {name: …}` in a "
    "[study file](../../studies.md)."
)


def _folder(name, title, intro, entries):
    """Return an index with a line an entry, and a page each."""
    rows = "\n".join(f"| [`{n}`]({n}.md) | {_cell(says)} |" for n, (says, _) in entries.items())
    made = {
        f"reference/{name}/index.md": f"# {title}\n\n{intro}\n\n| name | what it is |\n|---|---|\n{rows}\n"
    }
    return made | {f"reference/{name}/{n}.md": text for n, (_, text) in entries.items()}


def _strategy(name, row):
    arguments = [p for p in inspect.signature(row.pick).parameters.values() if p.name != "state"]
    facts = [
        ("when", row.when),
        ("cost", row.cost),
        (
            "memory beside the pool",
            f"{row.copies} float64 copies of it" if row.copies else "little",
        ),
        ("over several processes", "yes, the same picks" if row.sharded else "no"),
        (
            "goes on after a stop",
            "yes, from a checkpoint" if row.checkpointed else "by starting anew",
        ),
    ]
    if row.needs:
        facts.append(("a study supplies", ", ".join(f"`{need}`" for need in row.needs)))
    text = [
        f"# {name}",
        "",
        _facts(facts),
        "",
        _prose(inspect.getdoc(row.pick), [p.name for p in arguments]),
        "",
    ]
    around = inspect.getdoc(inspect.getmodule(row.pick))
    if around and len(around.split("\n\n")) > 1:
        text += ["## The method", "", _prose(around), ""]
    if arguments:
        text += ["## Parameters", "", "| parameter | type | default |", "|---|---|---|"]
        text += [
            f"| `{p.name}` | `{_cell(str(p.annotation))}` | {_default(p.default)} |"
            for p in arguments
        ]
    return "\n".join(text) + "\n"


def _metric(name, row):
    module = _family(name, row)
    facts = [
        ("says", row.says),
        ("needs", ", ".join(ROLES[need] for need in row.needs)),
        ("range", f"{row.bounds[0]:g} … {row.bounds[1]:g}".replace("inf", "∞")),
        ("interval", _interval(row)),
        ("comparable", row.comparable),
    ]
    if row.beside:
        facts.append(("shown beside it", ", ".join(f"[`{b}`]({b}.md)" for b in row.beside)))
    if row.on_request or row.wide == "on request":
        where = "always" if row.on_request else f"beyond {WIDE} values a row"
        facts.append(("taken", f"on request only ({where}): `metrics={name}`"))
    if module:
        facts.append(("cost", FAMILIES.get(module, "")))
    text = [f"# {name}", "", _facts([f for f in facts if f[1]]), ""]
    if table := _row_of_metrics_page().get(name):
        text += [
            f"**What it says.** {table[1][0].upper() + table[1][1:]}",
            "",
            f"**Compare with:** {table[2]}",
            "",
        ]
    for function in _functions(name):
        text += [f"`{function.__module__.removeprefix('entroloop.')}.{function.__name__}`: "
                 f"{_prose(inspect.getdoc(function), list(inspect.signature(function).parameters))}", ""]  # fmt: skip
    values = gallery.values_of(name)
    if values:
        text += [
            "## On the sets of the gallery",
            "",
            "| set | value | 95 % interval |",
            "|---|---|---|",
        ]
        text += [f"| {title} | {value} | {interval} |" for title, value, interval in values]
        text += ["", "The sets are shown in the [gallery](../../gallery.md)."]
    return "\n".join(text) + "\n"


def _generator(name, settings):
    text = [
        f"# {name}",
        "",
        _prose(_module(settings).__doc__),
        "",
        _prose(_own_doc(settings), list(settings.model_fields)),
        "",
    ]
    text += [f"**Training.** {_prose(inspect.getdoc(settings.fit))}", ""]
    text += ["## Settings", "", "| setting | type | default |", "|---|---|---|"]
    for key, field in settings.model_fields.items():
        kind = re.sub(r"(typing|entroloop)\.([a-z_]+\.)*", "", str(field.annotation))
        kind = f"{field.annotation.__name__}" if isinstance(field.annotation, type) else kind
        limits = ", ".join(_limit(found) for found in field.metadata)
        text.append(f"| `{key}` | `{_cell(kind)}` {limits} | {_setting(field.default)} |")
    sampling = ", ".join(f"`{s}`" for s in settings.SAMPLING)
    if sampling:
        text += ["", f"A change of {sampling} samples anew and trains nothing again."]
    return "\n".join(text) + "\n"


def _setting(value):
    """Return a default; of settings within settings, which they are."""
    return (
        f"the settings of `{value.name}`"
        if hasattr(type(value), "model_fields")
        else _default(value)
    )


def _limit(found):
    """Return a bound of a setting as it is read."""
    for name, sign in {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}.items():
        if hasattr(found, name):
            return f"{sign} {getattr(found, name):g}"
    return str(found)


def _own_doc(settings):
    """Return the docstring of a class of settings, and that of what it takes its settings from."""
    docs = [inspect.cleandoc(settings.__doc__ or "")]
    docs += [inspect.cleandoc(b.__doc__) for b in settings.__mro__[1:]
             if b.__module__.startswith("entroloop") and b.__doc__]  # fmt: skip
    return "\n\n".join(docs)


def _commands():
    text = ["# Commands", "", "Each command's help, as `--help` prints it.", ""]
    for command in EXAMPLES:
        text += [f"## {command}", "", "```text", _help(command), "```", ""]
    return "\n".join(text) + "\n"


def _help(command):
    with tempfile.TemporaryDirectory() as away:
        shown = subprocess.run(
            [sys.executable, "-m", "entroloop", command, "--help"],
            capture_output=True, text=True, check=True, cwd=away,
            env={"COLUMNS": "78", "PATH": "", "PYTHONPATH": ":".join(sys.path), "NO_COLOR": "1",
                 "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip
    lines = [line.rstrip() for line in shown.stdout.splitlines()]
    return "\n".join(lines).strip("\n").replace("python -m entroloop", "entroloop")


@cache
def _row_of_metrics_page():
    """Return the cells of the table in docs/metrics.md by metric: needs, says, compare with."""
    rows = {}
    for line in (DOCS / "metrics.md").read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and cells[0].startswith("`"):
            for name in _named(cells[0]):
                rows.setdefault(name, cells[1:])
    return rows


def _named(cell):
    """Yield the metrics that a cell names; `a_*_b` stands for all that fit, `…_x` for what ends so."""
    for pattern in re.findall(r"`([^`]+)`", cell):
        regex = re.escape(pattern).replace(r"\*", ".*").replace("…", ".*")
        yield from (name for name in METRICS if re.fullmatch(regex, name))


def _functions(name):
    """Return the functions that a metric is computed by: called like it, with a docstring."""
    found = []
    stem = re.sub(r"_(reference|unselected|real|floor|train|samples)(?=_|$)", "", name)
    for candidate in dict.fromkeys([name, stem]):
        for family in FAMILIES:
            module = import_module(f"entroloop.metrics.{family}")
            for suffix in ("", "_of", "_rows_of"):
                function = getattr(module, candidate + suffix, None)
                if inspect.isfunction(function) and function.__doc__ and function not in found:
                    found.append(function)
        if found:
            break
    return found


def _family(name, row):
    functions = _functions(name)
    home = functions[0] if functions else row.value
    module = home.__module__.rpartition(".")[2]
    return module if module in FAMILIES else ("entropy" if name.startswith("entropy") else "")


def _interval(row):
    if row.counted:
        return "none: the figure is a count of its own sets"
    method = f"rows of {row.resampled} resampled" if row.rows else "half-samples of all sets"
    wide = f"; none beyond {WIDE} values a row" if row.wide == "no interval" else ""
    return f"95 %, {method}, from {row.fewest} rows on{wide}"


def _facts(facts):
    rows = [f"| {name} | {_cell(value)} |" for name, value in facts]
    return "\n".join([rows[0], "|---|---|", *rows[1:]])


def _prose(text, names=()):
    return docstrings.as_markdown(text, names)


def _cell(text):
    return str(text).replace("|", r"\|").replace("\n", " ")


def _default(value):
    if value is inspect.Parameter.empty or value is PydanticUndefined:
        return "needed"
    return f"`{_cell(value)}`"


def _sentence(function):
    return _sentence_of(inspect.getdoc(function))


def _sentence_of(text):
    return re.split(r"(?<=[.;])\s", " ".join((text or "").split()), maxsplit=1)[0]


def _module(settings):
    return import_module(settings.__module__)
