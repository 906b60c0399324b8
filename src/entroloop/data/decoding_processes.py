"""Processes that decode images: a line of JSON with paths there, or with sizes and then the bytes
of files; a line and pixels back.

They need no `__main__` guard in the script that calls, hold no lock of its interpreter, and end
when their input is closed, also when the caller is killed.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import numpy as np

from entroloop.data.decoding import Decoded, Item, decoded_item
from entroloop.data.made_by import look_for_maker
from entroloop.data.preparing import Preparation
from entroloop.errors import InputError


class DecodingProcesses:
    """A number of processes; each call takes one that is idle."""

    def __init__(self, count: int, change: Preparation | None, look: bool) -> None:
        self._task = {"change": None if change is None else asdict(change), "look": look}
        self._all = [_started() for _ in range(count)]
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        for process in self._all:
            self._idle.put(process)

    def decoded(self, items: list[Item]) -> list[Decoded] | None:
        """Return what became of items, paths or bytes; None where the process has died."""
        if not all(isinstance(content, Path | bytes) for _, content in items):
            return None
        process = self._idle.get()
        try:
            held = [content for _, content in items if isinstance(content, bytes)]
            contents = [(name, len(x) if isinstance(x, bytes) else str(x)) for name, x in items]
            head = json.dumps(self._task | {"contents": contents}).encode()
            assert process.stdin is not None
            process.stdin.write(b"".join([head, b"\n", *held]))
            process.stdin.flush()
            assert process.stdout is not None
            return _answer(process.stdout)
        except (OSError, EOFError, ValueError):  # killed for memory, say: decoded here instead
            return None
        finally:
            self._idle.put(process)

    def close(self) -> None:
        """End all processes."""
        for process in self._all:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    assert pipe is not None
                    pipe.close()


def _started() -> subprocess.Popen[bytes]:
    package = str(Path(__file__).parents[2])  # found without an installation, too
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "entroloop.data.decoding_processes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,  # Ctrl-C reaches the caller, which ends the processes
    )


def _answer(file: IO[bytes]) -> list[Decoded]:
    line = file.readline()
    if not line:
        raise EOFError
    head = json.loads(line)
    sizes = [0 if shape is None else math.prod(shape) for shape, *_ in head]
    pixels = np.frombuffer(file.read(sum(sizes)), np.uint8)
    if len(pixels) < sum(sizes):
        raise EOFError
    found, start = [], 0
    for (shape, *told), size in zip(head, sizes, strict=True):
        image = None if shape is None else pixels[start : start + size].reshape(shape)
        found.append(Decoded(image, *told))
        start += size
    return found


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests until there are no more."""
    for line in requests:
        task: dict[str, Any] = json.loads(line)
        change = None if task["change"] is None else Preparation(**task["change"])
        look = look_for_maker if task["look"] else None
        found = []
        for name, content in task["contents"]:
            held = requests.read(content) if isinstance(content, int) else content
            try:
                found.append(decoded_item((name, held), change, look))
            except InputError as error:
                found.append(Decoded(None, [], reason=str(error)))
        head = [
            (None if d.image is None else d.image.shape, d.remarks, d.seen, d.reason) for d in found
        ]
        pixels = [d.image.tobytes() for d in found if d.image is not None]
        answers.write(b"".join([json.dumps(head).encode(), b"\n", *pixels]))
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
