"""A corpus of malformed inputs, made by seed, and the line with which each is refused.

`python tests/hostile/corpus.py` writes corpus.json anew; look at what changed in it.
"""

import io
import json
import re
import struct
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

import entroloop as el
from entroloop.data.decoding import FORMATS, decoded_item
from entroloop.data.loading import read_set
from entroloop.study.config import load_config

EXPECTED = Path(__file__).with_name("corpus.json")
THEIRS = re.compile(r"(is not a readable [^:]*|is not valid YAML|the first): .*", re.DOTALL)
CUTS = (0.0, 0.02, 0.1, 0.3, 0.6, 0.9)  # shares of a file that are left


def npy(shape="(2, 3)", descr="'<f8'", order="False", body=48, version=b"\x01\x00", size=None):
    head = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    length = len(head) if size is None else size
    return b"\x93NUMPY" + version + struct.pack("<H", length) + head + bytes(body)


def archive(members, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def table(columns, **options):
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, **options)
    return buffer.getvalue()


def lying_table(columns):
    """Return a table of 8,191 rows whose one row group claims that it holds two trillion."""
    before, _, after = table(columns).rpartition(b"\x16\xfe\x7f")  # the field's type, 2 · 8,191
    more = b"\x16\xfe\xff\xff\xff\xff\x7f"
    size = struct.unpack("<I", after[-8:-4])[0] + len(more) - 3
    return before + more + after[:-8] + struct.pack("<I", size) + b"PAR1"


def tar(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def picture(form, mode="RGB", size=(6, 6)):
    buffer = io.BytesIO()
    shape = (*size, 3) if mode == "RGB" else size
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def cut(name, content):
    """Yield a file that is cut at several places, and with bytes changed at several others."""
    for share in CUTS:
        yield f"{name} cut at {share}", content[: int(len(content) * share)]
    for at in range(0, min(len(content), 64), 8):
        yield f"{name} zeros at {at}", content[:at] + bytes(8) + content[at + 8 :]
        yield f"{name} ones at {at}", content[:at] + b"\xff" * 8 + content[at + 8 :]


def inputs():
    """Yield the ending, a name and the bytes of each input."""
    yield from (("npy", *each) for each in cut("array", npy()))
    for field, values in {
        "shape": ("(2", "(-1, 3)", "(2, 3, 4, 5, 6)", "(10**9, 10**9)", "'x'", "()", "(2.5, 1)",
                  "(99999999999999999999, 2)", "(0, 3)", "(2, 0)", "[2, 3]"),
        "descr": ("'|O'", "'<U9'", "'<M8[ns]'", "'c16'", "'|V8'", "[('a', '<f8')]", "'no'", "3"),
        "order": ("None", "3", "True, 'more': 1"),
        "version": (b"\x09\x00", b"\x00\x00", b"\xff\xff"), "size": (0, 1, 9, 65535),
    }.items():  # fmt: skip
        for value in values:
            yield "npy", f"{field} {value}", npy(**{field: value})
    good = archive({"data.npy": npy()})
    yield from (("npz", *each) for each in cut("archive", good))
    yield "npz", "of no array", archive({"data.txt": b"x"})
    yield "npz", "empty", archive({})
    yield "npz", "LZMA that is none", archive({"data.npy": b"x"}, zipfile.ZIP_LZMA)
    yield "npz", "a pickle", archive({"data.npy": npy(descr="'|O'")})
    yield "npz", "two arrays", archive({"a.npy": npy(), "b.npy": npy()})
    cells = [{"bytes": picture("PNG")}] * 3
    yield from (("parquet", *each) for each in cut("images", table({"image": cells})))
    yield from (("parquet", *each) for each in cut("rows", table({"x": [[1.0, 2.0]] * 9})))
    for name, columns in {
        "no rows": {"x": pa.array([], pa.list_(pa.float64()))},
        "words": {"x": ["a", "b"]}, "lists of words": {"x": [["a"]]}, "ragged": {"x": [[1.0], []]},
        "null rows": {"x": pa.array([[1.0], None])}, "null values": {"x": [[1.0, None]]},
        "empty lists": {"x": pa.array([[], []], pa.list_(pa.float64()))},
        "images that are text": {"image": [{"bytes": "text"}]},
        "images that are null": {"image": pa.array([None], pa.struct([("bytes", pa.binary())]))},
        "images that are none": {"image": [{"bytes": b"x"}]},
        "lists of lists": {"x": [[[1.0]]]}, "paths to nothing": {"x": ["gone.png"]},
        "maps": {"x": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))},
        "times": {"x": pa.array([1], pa.timestamp("ns"))}, "bools": {"x": [True, False]},
    }.items():  # fmt: skip
        yield "parquet", name, table(columns)
    for name, cell in {"numbers": 1.0, "lists": [1.0], "images": {"bytes": b""}}.items():
        yield "parquet", f"more rows than there are, of {name}", lying_table({"x": [cell] * 8191})
    yield from (("tar", *each) for each in cut("shard", tar({"0.png": picture("PNG")})))
    yield "tar", "no images", tar({"0.txt": b"x"})
    yield "tar", "labels of bytes", tar({"0.cls": b"\xff\xfe", "0.png": picture("PNG")})
    yield "tar", "empty image", tar({"0.png": b""})
    for name, text in {
        "empty": b"", "a line": b"a,b\n", "ragged": b"a,b\n1,2\n3\n", "no text": b"\xff\xfe\xa2",
        "names of bytes": b"a,\xa2\n1,2\n", "a quote": b'a,"b\n1,2', "words": b"a\nx\ny\n",
        "twice": b"a,a\n1,2\n", "nul": b"a\0,b\n\0,1\n", "a path": b"p\ngone.png\n",
    }.items():  # fmt: skip
        yield "csv", name, text
    for form in FORMATS:
        yield from ((f"image of {form}", *each) for each in cut("picture", picture(form)))
    for text in (
        "a: [", "a: 2026-13-45", "a: !!python/name:os.system", "a: &a [*a]", "\tb", "- a", "", "3",
        "a: 0x_", "[" * 99, "a: .nan", "a: .inf", "? [a]\n: b", "a: \x01", "a: !!binary '#'",
        "name: ''", "generations: 0", "generations: 1e99", "seeds: []", "seeds: [x]", "seeds: 3",
        "arms: {}", "arms: [3]", "arms: []", "data: []", "data: {source: gone}", "generator: gone",
        "generator: []", "metrics: 3", "threads: -1", "nothing: 1", "name: [a]", "seeds: [-1]",
        "arms: [{strategy: gone}]", "arms: [{paradigm: gone}]", "arms: [{name: ../x}]",
        "arms: [{oversample: 0}]", "data: {source: arrays}", "data: {source: digits, n_train: x}",
    ):  # fmt: skip
        yield "study", text, text.encode()


def told(folder, ending, content):
    """Return the line with which an input is refused, `read` for one that is read.

    What another library says of a file is its own to change, and left out.
    """
    if ending.startswith("image"):
        found = decoded_item(("x", content), None, None)
        return "read" if found.image is not None else "skipped, with a reason"
    path = folder / ("s.yaml" if ending == "study" else f"x.{ending}")
    path.write_bytes(content)
    try:
        if ending == "study":
            load_config(path, {})
        else:
            np.asarray(read_set(path, "p").data)
    except el.InputError as error:
        return THEIRS.sub(r"\1", str(error).replace(f"{folder}/", ""))
    return "read"


def main():
    with tempfile.TemporaryDirectory() as folder:
        found = {f"{e}: {n}": told(Path(folder), e, content) for e, n, content in inputs()}
    EXPECTED.write_text(json.dumps(found, indent=0, ensure_ascii=True) + "\n")
    print(len(found), sum(line != "read" for line in found.values()))


if __name__ == "__main__":
    main()
