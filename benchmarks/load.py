"""Large pools, many runs, many readers: what stays flat, as docs/reliability.md states it.

    python benchmarks/load.py images --count 200000
    python benchmarks/load.py runs --count 1000
    python benchmarks/load.py readers --count 64

images: a folder of small PNG files, 1 % of them broken in ten ways, is read; memory beyond the pixels
is printed every so often. `select` then chooses from it by the features of a network, is killed, and
runs again: what it took of which images the second time is counted. runs: a study of so many runs,
a quarter of them, half, and all: processor seconds and memory of its plan, the look at its stages, its records,
its page, and each run. readers: so many processes read one study while one writes it; whatever is
read must be what the study holds in the end.
"""

import argparse
import io
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

import entroloop as el
from entroloop.commands.prepare import prepare
from entroloop.commands.run import run_opened, run_study
from entroloop.data.loading import read_set
from entroloop.errors import InputError
from entroloop.report import render_report
from entroloop.study.stored import load_study

PNG = b"\x89PNG\r\n\x1a\n"


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width: int, height: int, depth: int = 8, colour: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def written(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


# What is wrong with a file, made of a sound one.
BREAKS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut in half": lambda content: content[: len(content) // 2],
    "another signature": lambda content: b"\x00" + content[1:],
    "a byte of its pixels changed": lambda content: flipped(content, content.index(b"IDAT") + 12),
    "text": lambda content: b"no image at all\n",
    "PostScript": lambda content: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "a size of 60,000 × 60,000": lambda content: PNG + header(60_000, 60_000) + content[33:],
    "a width of 0": lambda content: PNG + header(0, 16) + content[33:],
    "32-bit floats": lambda content: written(Image.fromarray(np.ones((16, 16), np.float32)), "tiff"),
    "a cut JPEG": lambda content: written(Image.open(io.BytesIO(content)), "jpeg")[:200],
}  # fmt: skip


def folder_of_images(root: Path, count: int) -> dict[str, str]:
    """Write images below a folder; return what is wrong with those that are broken."""
    rng, broken = np.random.default_rng(0), {}
    for start in range(0, count, 1000):
        (root / f"{start // 1000:04}").mkdir(parents=True)
        pixels = rng.integers(0, 256, (min(1000, count - start), 16, 16), dtype=np.uint8)
        for i, image in enumerate(pixels, start):
            name, content = f"{i // 1000:04}/{i:07}.png", png(image)
            if i % 100 == 50:
                broken[name] = list(BREAKS)[i // 100 % len(BREAKS)]
                content = BREAKS[broken[name]](content)
            (root / name).write_bytes(content)
    return broken


def resident() -> float:
    """Return the memory that this process holds, in MB."""
    return psutil.Process().memory_info().rss / 1e6


class Network(torch.nn.Module):
    """A small network of fixed random weights."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Conv2d(1, 32, 5, padding=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.inner(x.float() / 255)).mean((2, 3))


def images(count: int, root: Path) -> None:
    broken = folder_of_images(root / "images", count)
    print(f"{count:,} files, {len(broken):,} of them broken in {len(BREAKS)} ways", flush=True)
    seen: list[tuple[int, float]] = []

    def watch(done: int, total: int) -> None:
        if done % 10_000 == 0:
            seen.append((done, resident() - done * 256 / 1e6))

    began, before = time.monotonic(), resident()
    found = read_set(root / "images", "pool", progress=watch)
    print(f"read in {time.monotonic() - began:.0f} s; {before:.0f} MB before")
    for done, held in seen:
        print(f"  {done:9,} images: {held:6.0f} MB beyond their pixels")
    slope = np.polyfit(*zip(*seen[1:] or seen, strict=True), 1)[0] if len(seen) > 2 else np.nan
    print(f"  {slope * 1e6:.0f} bytes more an image, after the first 10,000")
    assert len(found.data) == count - len(broken), "good images are missing"
    assert set(found.skipped) == set(broken), "not the broken ones are listed"
    reasons = Counter((broken[name], reason) for name, reason in found.skipped.items())
    for (kind, reason), times in sorted(reasons.items()):
        print(f"  {times:5} {kind}: {reason}")
    del found
    restarted(root, count - len(broken))


def restarted(root: Path, good: int) -> None:
    """Kill a selection after so many stretches of features, and count what the next one takes."""
    torch.manual_seed(0)
    torch.jit.script(Network()).save(str(root / "net.pt"))
    cache = root / "cache"
    os.environ["ENTROLOOP_CACHE"] = str(cache)
    command = [
        sys.executable, "-m", "entroloop", "select", "--pool", str(root / "images"), "-n", "500",
        "--features", f"torchscript:{root / 'net.pt'}", "--device", "cpu", "--out", str(root / "out"),
    ]  # fmt: skip
    stretches = -(-good // 16_384)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(list(cache.rglob("*.npy"))) < stretches // 2 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_ino for path in cache.rglob("*.npy")}
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    made = {path: path.stat().st_ino for path in cache.rglob("*.npy")}
    again = sum(made[path] != number for path, number in kept.items())
    summary = json.loads((root / "out/summary.json").read_text())
    assert summary["pools"]["images"]["rows"] == good, "not all good images were considered"
    print(
        f"select, killed after {len(kept)} of {stretches} stretches of features: the same command "
        f"took {time.monotonic() - began:.0f} s, took the features of {len(made) - len(kept)} "
        f"stretches and {again} of those that were cached, and considered {good:,} images"
    )


def runs(count: int, root: Path) -> None:
    print(f"{'runs':>6} {'plan':>7} {'look':>7} {'run, each':>10} {'nothing to do':>14} "
          f"{'records':>8} {'page':>8}   MB after each")  # fmt: skip
    before = 0
    for part in (count // 4, count // 2, count):
        plan, look, made, nothing, records, page, *memory = times_of(part, root)
        print(f"{part:6} {plan:6.2f}s {look:6.2f}s {made / (part - before):9.3f}s {nothing:13.2f}s "
              f"{records:7.2f}s {page:7.2f}s   {' '.join(f'{m:.0f}' for m in memory)}", flush=True)  # fmt: skip
        before = part


def times_of(part: int, root: Path) -> list[float]:
    """Return seconds and then memory of each step of a study of so many runs."""
    study = {
        "name": "many", "generations": 2, "seeds": list(range(part // 5)), "generator": "gaussian",
        "data": {"source": "digits", "n_train": 40, "n_reference": 40}, "metrics": {"unselected": 8},
        "arms": [
            {"name": f"a{i}", "paradigm": "accumulate_subsample", "strategy": "greedy", "oversample": i}
            for i in range(1, 6)
        ],
    }  # fmt: skip
    out, times, memory = root / "many", [], []

    def timed(work: Callable[[], Any]) -> Any:
        began = sum(os.times()[:4])  # of processors, its children's too: others may be busy
        found = work()
        times.append(sum(os.times()[:4]) - began)
        memory.append(resident())
        return found

    prepared = timed(lambda: prepare(study, out, device="cpu"))
    timed(prepared.look)
    prepared.open()
    timed(lambda: sum(1 for _ in run_opened(prepared, workers=1)))
    timed(lambda: sum(1 for _ in run_study(study, out=out)))
    table = timed(lambda: el.load_records(out))
    assert len(table) == 2 * part
    timed(lambda: render_report([out], root / "page.html"))
    return [*times, *memory]


def readers(count: int, root: Path) -> None:
    study = {
        "name": "read", "generations": 12, "seeds": [0, 1, 2], "generator": "gaussian",
        "data": {"source": "digits", "n_train": 60, "n_reference": 60}, "metrics": {"unselected": 8},
        "arms": [{"paradigm": "replace"}, {"paradigm": "accumulate_subsample", "strategy": "greedy"}],
    }  # fmt: skip
    out = root / "read"
    prepared = prepare(study, out, device="cpu")
    prepared.open()
    made = run_opened(prepared, workers=1)
    next(made)  # there is a record
    children = [reader(out, root / f"told-{i}") for i in range(count)]
    for _ in made:
        pass
    (root / "end").touch()
    failed = sum(os.waitpid(child, 0)[1] != 0 for child in children)
    table = el.load_records(out).drop(columns=["share_by_generation", "extra"], errors="ignore")
    final = {tuple(row[:3]): str(tuple(row)) for row in table.itertuples(index=False)}
    reads = rows = 0
    for i in range(count):
        for line in (root / f"told-{i}").read_text().splitlines():
            told = json.loads(line)
            reads, rows = reads + 1, rows + len(told["records"])
            for arm, seed, generation, text in told["records"]:
                assert final[arm, seed, generation] == text, f"{arm}, {seed}, {generation} differed"
    print(f"{count} processes read a study {reads:,} times while one wrote its {len(final)} records: "
          f"{rows:,} rows, all as they are in the end; {failed} readers failed")  # fmt: skip
    if failed:
        sys.exit(1)


def reader(out: Path, told: Path) -> int:
    """Read a study again and again in a child process until it is complete; tell what was seen."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.nice(5)
        with told.open("w") as file:
            last = False
            while not last:
                last = (out.parent / "end").exists()
                study, records = load_study(out), []
                table = study.records.drop(
                    columns=["share_by_generation", "extra"], errors="ignore"
                )
                table = table[table.columns[5:].tolist()] if "study" in table else table
                for row in table.itertuples(index=False):
                    records.append([row.arm, row.seed, row.generation, str(tuple(row))])
                for run in study.runs:
                    newest = run[len(run)]
                    assert len(newest.training_set.data) == 60
                    assert np.isfinite(newest.samples[-1]).all()
                    assert newest.record.generation == len(run)
                file.write(json.dumps({"records": records}) + "\n")
        status = 0
    except (Exception, InputError) as error:
        print(f"reader: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    loads = {"images": (images, 200_000), "runs": (runs, 1000), "readers": (readers, 64)}
    parser.add_argument("load", choices=loads)
    parser.add_argument("--count", type=int)
    asked = parser.parse_args()
    work, usual = loads[asked.load]
    with tempfile.TemporaryDirectory(prefix="entroloop-load-") as name:
        work(asked.count or usual, Path(name))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"peak of this process: {peak:.0f} MB")


if __name__ == "__main__":
    main()
