"""Coverage-guided fuzzing of every reader of files and of the study parser.

    python -m pip install -c constraints.txt "entroloop[fuzz]"
    python benchmarks/fuzz.py npy -runs=1000000
    python benchmarks/fuzz.py study -max_total_time=300

Each execution reads one input, which libFuzzer (through atheris) changes so that new lines of entroloop
run. Nothing but InputError may come out: whatever else does ends the search, and its input is written
beside as crash-….
"""

import io
import os
import shutil
import sys
import tarfile
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["entroloop"]):
    import entroloop as el
    from entroloop.data.arrays import read_array
    from entroloop.data.decoding import FORMATS, decoded_item
    from entroloop.data.inputs import table_files, tables, tars  # noqa: F401
    from entroloop.data.loading import read_set
    from entroloop.store.stage_info import StageInfo
    from entroloop.study.config import StudyConfig, load_config
    from entroloop.study.yaml_text import parsed

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

MEMORY = Path("/dev/shm")  # files that are written a thousand times a second
FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-", dir=MEMORY if MEMORY.is_dir() else None))


def of_file(ending: str, read: Callable[[Path], object]) -> Callable[[bytes], None]:
    path = FOLDER / f"input.{ending}"

    def one(content: bytes) -> None:
        path.write_bytes(content)
        read(path)

    return one


def study(content: bytes) -> None:
    raw = parsed(content.decode("utf-8", "replace"), "the input")
    if isinstance(raw, dict):
        config: StudyConfig = load_config(raw, {})
        assert config.arms


def image(content: bytes) -> None:
    found = decoded_item(("x", content), None, None)
    assert (found.image is None) == bool(found.reason)


TARGETS: dict[str, Callable[[bytes], object]] = {
    "npy": of_file("npy", lambda path: np.array(read_array(path, None))),
    "npz": of_file("npz", lambda path: read_array(path, None)),
    "parquet": of_file("parquet", lambda path: read_set(path, "p")),
    "lazy": of_file("parquet", lambda path: read_set(path, "p", lazy=True)),
    "csv": of_file("csv", lambda path: read_set(path, "p")),
    "tar": of_file("tar", lambda path: read_set(path, "p")),
    "image": image,
    "study": study,
    "stage": lambda content: StageInfo.from_json(content, "s"),
}


def first_arm(preset: Path) -> bytes:
    """Return a preset with its first arm alone, without remarks: YAML is read slowly."""
    found = yaml.safe_load(preset.read_text("utf-8"))
    text: str = yaml.safe_dump(found | {"arms": found["arms"][:1]}, width=99, sort_keys=False)
    return text.encode()


def seeds(target: str) -> list[bytes]:
    """Return valid inputs from which the search starts."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    encoded = []
    for form in FORMATS:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, form)
        encoded.append(buffer.getvalue())
    rows, buffer = rng.standard_normal((4, 2)), io.BytesIO()
    if target == "npy":
        np.save(buffer, rows)
    elif target == "npz":
        np.savez_compressed(buffer, data=rows)
    elif target == "parquet":
        pq.write_table(pa.table({"image": [{"bytes": encoded[0]}] * 2, "label": [0, 1]}), buffer)
    elif target == "lazy":
        pq.write_table(pa.table({"x": list(rows)}), buffer)
    elif target == "tar":
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name, content in (("0.png", encoded[0]), ("0.cls", b"1")):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    elif target == "image":
        return encoded
    elif target == "csv":
        return [b"a,b,label\n1,2,x\n3,4,y\n", b"path,label\na.png,0\n"]
    elif target == "study":
        folder = Path(el.__file__).parent / "presets"
        return [first_arm(file) for file in folder.glob("*.yaml")]
    else:
        return [
            b'{"files": {"a": ["' + b"0" * 64 + b'"]}, "seconds": 1.0, "peak_mb": 1.0, "about": {}}'
        ]
    return [buffer.getvalue()]


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python benchmarks/fuzz.py TARGET [-runs=N]; TARGET: {', '.join(TARGETS)}")
    target = sys.argv.pop(1)
    warnings.simplefilter("ignore")
    if child := os.fork():  # libFuzzer ends its process at once, whatever is left on disk
        try:
            _, status = os.waitpid(child, 0)
        finally:
            shutil.rmtree(FOLDER)
        sys.exit(os.waitstatus_to_exitcode(status))
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    for i, content in enumerate(seeds(target)):
        (corpus / f"seed-{i}").write_bytes(content)

    def one(content: bytes) -> None:
        try:
            TARGETS[target](content)
        except el.InputError as error:
            if "\n" in str(error) or len(str(error)) > 2000:
                raise RuntimeError("more than one line") from error

    atheris.Setup([*sys.argv, f"-artifact_prefix={Path.cwd()}/", str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
