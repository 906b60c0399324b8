"""`entroloop watch`: its options, and what it tells."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer


def watch(
    folder: Annotated[Path, typer.Argument(help="study folder", metavar="DIR")],
    browser: Annotated[
        bool, typer.Option("--browser", help="serve a page on this machine instead of printing")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="port of the page (0: a free one)")
    ] = 0,
) -> None:
    """Watch a study that runs elsewhere, until it is complete; nothing is written.

    With --browser the page stays until Ctrl-C.
    """
    from rich.console import Console

    from entroloop.live.server import LivePage
    from entroloop.live.state import read_state
    from entroloop.live.watch import new_records, told

    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    state = read_state(folder)
    if browser:
        with LivePage(folder, port) as page:
            console.print(f"study {state.study}, live: {page.url} (Ctrl-C ends it)")
            while True:
                time.sleep(3600)
    for state, new in new_records(folder):  # noqa: B007  # the last one is used below
        for record in new:
            console.print(told(record))
    summary = {"study": state.study, "records": len(state.records), "complete": state.complete}
    print(json.dumps(summary))
