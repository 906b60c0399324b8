"""A folder that is ready for the Hub: parquet, a data card, and Croissant metadata."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from entroloop.commands.columns import class_names, features_metadata, features_of
from entroloop.commands.materialize import write_table
from entroloop.system.files import sha256
from entroloop.system.numbers import number

DATA = "data/train-00000-of-00001.parquet"
SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)  # categories of the Hub
# What each kind of Arrow type is called in Croissant.
DATA_TYPES = (("int", "sc:Integer"), ("uint", "sc:Integer"), ("bool", "sc:Boolean"),
              ("float", "sc:Float"), ("double", "sc:Float"), ("halffloat", "sc:Float"),
              ("list", "sc:Float"), ("large_list", "sc:Float"))  # fmt: skip


def write_hub_folder(
    folder: Path, name: str, table: Any, summary: dict[str, Any], classes: Iterable[str] = ()
) -> None:
    """Write a folder that `datasets.load_dataset` reads, images and classes included.

    name: of the data set. table: the chosen rows, as `chosen_table` returns them; a `label` of
    names becomes one of classes. summary: what is told of the choice, the command included.
    classes: of the class folders of the pools, so that a class without picks keeps its number.
    """
    table = _with_classes(table, classes)
    (folder / DATA).parent.mkdir(parents=True)
    write_table(folder / DATA, table)
    (folder / "README.md").write_text(_card(name, table, summary), "utf-8")
    text = json.dumps(_croissant(name, table, summary, sha256(folder / DATA)), indent=1)
    (folder / "croissant.json").write_text(text, "utf-8")


def _with_classes(table: Any, classes: Iterable[str]) -> Any:
    """Return the table with a `label` of names as class numbers, in name order; −1 for none."""
    import pyarrow as pa

    kinds = features_of(table.schema)
    if "label" not in table.column_names or not pa.types.is_string(table.field("label").type):
        return table
    labels = table.column("label").to_pylist()
    names = sorted({label for label in [*labels, *classes] if label})
    number = {label: i for i, label in enumerate(names)}
    column = pa.array([number.get(label, -1) for label in labels], pa.int64())
    table = table.set_column(table.column_names.index("label"), "label", column)
    kinds["label"] = {"names": names, "_type": "ClassLabel"}
    return table.replace_schema_metadata(features_metadata(kinds))


def _card(name: str, table: Any, summary: dict[str, Any]) -> str:
    """Return README.md: the header that the Hub reads, and what was chosen of what, and how."""
    size = next((s for s in SIZES if table.num_rows < s), None)
    category = "n>10M" if size is None else f"n<{_short(size)}" if size == SIZES[0] else (
        f"{_short(size // 10)}<n<{_short(size)}"
    )  # fmt: skip
    lines = [
        "---", f"pretty_name: {json.dumps(name)}", f"size_categories: [{category}]",
        # No `configs`: with it `datasets` caches by the folder's name and this header alone, and
        # takes one choice for another. data/train-*.parquet is found without.
        "tags: [entroloop]", "---", "",
        f"# {_text(name)}", "",
        f"{table.num_rows:,} rows chosen by entroloop {_text(summary['version'])}, strategy "
        f"{_text(summary['strategy'])}, metric {_text(summary['metric'])} on features "
        f"{_text(summary['features'])}, seed {summary['seed']}. Rows are in pick order.", "",
        "## Provenance", "", "| pool | rows | chosen |", "|---|---|---|",
        *(f"| {_text(pool)} | {c['rows']:,} | {c['chosen']:,} |"
          for pool, c in summary["pools"].items()), "",
        *_classes(table),
        "## What the choice covers", "",
        *(f"- {line}" for line in _facts(summary)), "",
        "## Columns", "",
        *(f"- {_text(field.name)}: {_type_of(field)}" for field in table.schema), "",
    ]  # fmt: skip
    if summary.get("command"):
        lines += ["## Command", "", "```", summary["command"].replace("`", "'"), "```", ""]
    lines += [
        "The licence is that of the pools, and is to be filled in by whoever publishes this, as "
        "are `license`, `creator`, `url` and `datePublished` in `croissant.json`.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _facts(summary: dict[str, Any]) -> list[str]:
    chosen, drawn = summary["entropy"], summary["entropy_random"]
    facts = []
    if chosen and drawn:
        facts.append(
            f"Entropy of the choice: {_nats(chosen)} nats; of as many rows drawn at random: "
            f"{_nats(drawn)} (comparable at the same n, d, k and features only)"
        )
    facts.append(f"Coverage radius: {number(summary['coverage_radius'])}")
    if assignment := summary.get("assignment"):
        facts.append(
            "Distance of a row of the pools to its nearest pick: "
            f"{number(assignment['mean_distance'])} on the mean, "
            f"{number(assignment['largest_distance'])} at most; a pick stands for up to "
            f"{assignment['largest_weight']:,} rows"
        )
    facts.append(f"Stopped by: {summary['stopped_by']}; copies among the picks: "
                 f"{summary['duplicates']:,}")  # fmt: skip
    return facts


def _nats(entropy: dict[str, Any]) -> str:
    return "−∞" if entropy["nats"] is None else number(entropy["nats"])


def _classes(table: Any) -> list[str]:
    names = class_names(features_of(table.schema).get("label"))
    if names is None:
        return []
    counts = Counter(table.column("label").to_pylist())
    rows = (f"| {_text(c)} | {counts[i]:,} |" for i, c in enumerate(names))
    return ["| label | rows |", "|---|---|", *rows, ""]


def _type_of(field: Any) -> str:
    return "image" if field.name == "image" else _text(field.type)


def _text(value: Any) -> str:
    """Return text from data as Markdown shows it: no HTML, no table or link of its own."""
    plain = "".join(c if c.isprintable() else "\ufffd" for c in str(value))
    return "".join(f"\\{c}" if c in "\\`*_[]|" else c for c in escape(plain, quote=False))


def _short(number: int) -> str:
    return f"{number // 1_000_000}M" if number >= 1_000_000 else f"{number // 1_000}K"


def _croissant(name: str, table: Any, summary: dict[str, Any], checksum: str) -> dict[str, Any]:
    """Return Croissant 1.0 metadata (mlcommons.org/croissant) of the parquet file.

    What only the publisher knows (license, creator, url, datePublished) is left out.
    """
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"rows/{field.name}",
            "name": f"rows/{field.name}",
            "description": f"column {field.name}",
            "dataType": _data_type(field),
            **({"repeated": True} if "list<" in str(field.type) else {}),
            "source": {
                "fileObject": {"@id": "train"},
                "extract": {"column": field.name},
                **({"transform": {"jsonPath": "bytes"}} if field.name == "image" else {}),
            },
        }
        for field in table.schema
    ]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "description": f"{table.num_rows:,} rows chosen by entroloop {summary['version']}, "
                       f"strategy {summary['strategy']}, metric {summary['metric']}, features "
                       f"{summary['features']}, seed {summary['seed']}",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "version": "1.0.0",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "train",
                "name": "train",
                "contentUrl": DATA,
                "encodingFormat": "application/x-parquet",
                "sha256": checksum,
            }
        ],
        "recordSet": [
            {"@type": "cr:RecordSet", "@id": "rows", "name": "rows", "field": fields}
        ],
    }  # fmt: skip


def _data_type(field: Any) -> str:
    if field.name == "image":
        return "sc:ImageObject"
    kind = str(field.type)
    return next((t for start, t in DATA_TYPES if kind.startswith(start)), "sc:Text")


CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}  # of Croissant 1.0, as its specification gives it
