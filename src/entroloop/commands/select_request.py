"""What the command line asks of `entroloop select`, and which options do not go together."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from entroloop.commands.pool_files import name_and_path, places_of
from entroloop.errors import InputError, unknown_name
from entroloop.pools.hosts import PoolEngine
from entroloop.selection import select

MATERIALS = ("link", "copy", "parquet", "hub")
# Arguments of `select` that are no parameters of a strategy.
RESERVED = {
    p.name for p in inspect.signature(select).parameters.values() if p.kind is not p.VAR_KEYWORD
} | {"guard"}
REALISM = "realism"  # as --weights


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for.

    pools: [NAME=]PATH of each pool. n: how many rows to choose, or a share such as "10%"; None
    where min_distance or until say when it is enough, or an update keeps its size. update: the
    folder of an earlier choice, whose rows are offered anew. parameters: of the strategy. features,
    metric: the names of an extractor and a distance; "" for those of the choice that is updated,
    raw and euclidean without one. initial: the path of rows that count as chosen. group_by: a
    column, `label` or `pool`; quota: how the picks are shared among its groups. weights: a column,
    or `realism`, by the guard. guard: the path of real rows, for that and for the strategy guarded.
    assign: write which pick stands for each row. materialize: how the chosen rows themselves are
    written, None for not at all. page: whether a page will show the choice, which needs labels and
    the nearest pick of every row. strict: refuse corrupt images. on_invalid: what becomes of rows
    with NaN, `fail` or `drop`. out: the folder that is written. engine: what distributes the pool
    over several processes. command: what a data card tells as the command. resize,
    mode: what images are brought to, see `preparation`. column: what holds the rows.
    """

    pools: list[str]
    out: Path
    n: int | str | None = None
    min_distance: float | None = None
    until: str | None = None
    update: str | None = None
    strategy: str = "greedy"
    parameters: dict[str, Any] = field(default_factory=dict)
    features: str = ""
    metric: str = ""
    initial: str | None = None
    group_by: str | None = None
    quota: str = "proportional"
    weights: str | None = None
    guard: str | None = None
    assign: bool = False
    materialize: str | None = None
    page: bool = False
    strict: bool = False
    on_invalid: str = "fail"
    resize: int | None = None
    mode: str | None = None
    column: list[str] | None = None
    seed: int = 0
    device: str = "auto"
    engine: PoolEngine | None = None
    command: str | None = None

    @property
    def columns(self) -> list[str] | None:
        """The columns of pools that are needed; None for the labels where there are any."""
        asked = [c for c in (self.group_by, self.weights) if c and c not in ("pool", REALISM)]
        return None if self.page and not asked else asked


def check_options(request: Request) -> None:
    """Refuse options that do not go together."""
    if request.materialize not in (None, *MATERIALS):
        raise unknown_name("--materialize", request.materialize, MATERIALS)
    if request.on_invalid not in ("fail", "drop"):
        raise unknown_name("--on-invalid", request.on_invalid, ("fail", "drop"))
    if clash := RESERVED & set(request.parameters):
        raise InputError(f"--param {min(clash)} is not a strategy's parameter: it has its own flag")
    asks = "--weights realism" if request.weights == REALISM else request.strategy
    needed = asks in ("--weights realism", "guarded")
    if needed and request.guard is None:
        raise InputError(f"{asks} needs --guard PATH: real rows that are used for nothing else")
    if request.guard is not None and not needed:
        raise InputError("--guard goes with --strategy guarded or --weights realism")


def sources_of(request: Request) -> dict[str, Path]:
    """Return the files and folders that are read, by the name that a message gives them."""
    pools = {f"pool '{name}'": path for name, path in map(name_and_path, request.pools)}
    more = {"--initial": request.initial, "--guard": request.guard, "--update": request.update}
    return places_of(pools | {flag: Path(path) for flag, path in more.items() if path is not None})
