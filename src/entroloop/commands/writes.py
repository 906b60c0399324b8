"""Every file that a command may create, change or remove; `entroloop doctor --writes` prints it.

Names are patterns below a place, `*` within a name, `**` across folders. A test watches the file
system while each command runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Places = Mapping[str, tuple[str, ...]]  # patterns by the place below which they lie

MANIFEST = (".entroloop-manifest.json", "..entroloop-manifest.json.*")
STAGING = (".entroloop-*-*", ".entroloop-*-*/**")  # goes when a result is there as a whole
PAGE = ("NAME", ".NAME.*")  # of the page that was asked for, and while it is written
PAIRS = ("STEM-pairs.parquet", ".STEM-pairs.parquet.*")  # beside it
FEATURES = ("features", "features/*.npy", "features/*.part", "weights", "weights/*")
STUDY = (
    ".lock", "study.json", "config.json", "environment.json", "records.parquet",
    "controls.parquet", "report.html", ".*.json.*", ".*.parquet.*", ".report.html.*",
    "arms", "arms/*", "arms/*/seed-*.json", "arms/*/.seed-*.json.*",
    "stages", "stages/*", "stages/*/*", "stages/*/*/**", ".tmp-*-*", ".tmp-*-*/**",
    "scratch", "scratch/**", "logs", "logs/worker-*.log", "trackers", "trackers/**",
    "quarantine", "quarantine/**",
)  # fmt: skip

# Places: OUT (--out), HTML (the folder of --html), DIR (the study folder), CACHE (ENTROLOOP_CACHE,
# or ~/.cache/entroloop), HOME, TEMPORARY (the system's folder for that; empty again at the end).
WRITES: dict[str, Places] = {
    "run": {
        "OUT": (*STUDY, *MANIFEST, *STAGING, "summary.json"),  # the last of `run theory`
        "CACHE": (*FEATURES, "stores", "stores/*/**"),
        "TEMPORARY": ("entroloop-controls-*", "entroloop-controls-*/**"),
        "/": ("proc/self/clear_refs",),  # asks the system to count the peak of memory anew
    },
    "watch": {},
    "select": {
        "OUT": (
            *MANIFEST, *STAGING, "selection.parquet", "summary.json", "assignment.parquet",
            "left.parquet", "chosen.parquet", "chosen", "chosen/**", ".checkpoint.npz",
            "..checkpoint.npz.*",
        ),
        "HTML": PAGE,
        "CACHE": FEATURES,
    },
    "measure": {"HTML": (*PAGE, *PAIRS), "CACHE": FEATURES},
    "duplicates": {
        "OUT": (
            *MANIFEST, *STAGING, "pairs.parquet", "groups.parquet", "summary.json",
            ".checkpoint.pairs", "..checkpoint.pairs.*",
        ),
        "HTML": PAGE,
        "CACHE": FEATURES,
    },
    "audit": {
        "OUT": (*MANIFEST, *STAGING, "audit.parquet", "summary.json"),
        "HTML": PAGE,
        "CACHE": FEATURES,
    },
    "report": {"HTML": PAGE, "CACHE": ("stores", "stores/*/**")},
    "figures": {
        "OUT": (*MANIFEST, *STAGING, "*.svg", "*.pdf", "*.png", "captions.md"),
        "HOME": (".cache", ".config", ".cache/matplotlib**", ".config/matplotlib**"),  # its own
        "CACHE": ("stores", "stores/*/**"),
    },
    "presets": {},
    "doctor": {"DIR": STUDY, "CACHE": (*FEATURES, "stores", "stores/*/**")},
}  # fmt: skip


def may_write(command: str, place: str, name: str, page: str = "") -> bool:
    """Return whether a command may create, change or remove a name below a place.

    page: the name of the page that was asked for.

    >>> may_write("select", "OUT", "summary.json"), may_write("select", "OUT", "notes.txt")
    (True, False)
    """
    names = {"NAME": page, "STEM": page.rpartition(".")[0]}
    patterns = [
        re.sub("NAME|STEM", lambda found: names[found[0]], pattern)
        for pattern in WRITES[command].get(place, ())
    ]
    return any(_matches(name, pattern) for pattern in patterns)


def _matches(name: str, pattern: str) -> bool:
    parts = re.split(r"(\*\*|\*)", pattern)
    kinds = {"*": "[^/]*", "**": ".*"}
    return (
        re.fullmatch("".join(kinds.get(part) or re.escape(part) for part in parts), name)
        is not None
    )
