"""Examples that stand under the help of each command; tests run those that need no data."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from entroloop.cli.strategies import strategies_help

EXAMPLES: dict[str, tuple[str, ...]] = {
    "run": (
        "entroloop run",
        "entroloop run digits --set seeds=[0,1,2] --out runs/three",
        "entroloop run remedies --set seeds=[0] --set generations=2 --dry-run",
        "entroloop run my.yaml --dry-run",
        "entroloop run theory --seeds 2000",
        "torchrun --nproc-per-node 4 -m entroloop run my.yaml",
    ),
    "watch": (
        "entroloop watch runs/digits",
        "entroloop watch runs/digits --browser",
    ),
    "select": (
        "entroloop select --pool emb.npy -n 500 --out chosen",
        "entroloop select --pool emb.npy -n 10% --out chosen",
        "entroloop select --pool made=a/ --pool real=b/ -n 500 --group-by pool --out chosen",
        "entroloop select --pool a/ -n 500 --strategy guarded --guard held/ --out chosen",
        "entroloop select --pool emb.npy -n 500 --strategy threshold_decay --param strength=0.5 "
        "--out chosen",
        "entroloop select --pool a/ -n 500 --html chosen.html --out chosen",
    ),
    "measure": (
        "entroloop measure --generated made/ --train real/ --reference held/",
        "entroloop measure --generated made.npy --metrics total_variance,vendi_score",
        "entroloop measure --generated made/ --reference held/ --html measured.html",
    ),
    "duplicates": (
        "entroloop duplicates --pool emb.npy --threshold 0.5 --out copies",
        "entroloop duplicates --pool old=a/ --pool new=b/ --threshold 400 --keep old --out twins",
    ),
    "audit": (
        "entroloop audit real/ made/ --out audit",
        "entroloop audit real/ made/ --level 0.005 --html audit.html --out audit",
    ),
    "report": (
        "entroloop report runs/digits",
        "entroloop report runs/digits runs/mine --html both.html",
    ),
    "figures": (
        "entroloop figures runs/digits",
        "entroloop figures runs/digits --format pdf --width 3.25in --out paper/figures",
    ),
    "presets": ("entroloop presets", "entroloop presets digits > my.yaml"),
    "doctor": (
        "entroloop doctor",
        "entroloop doctor runs/digits",
        "entroloop doctor runs/digits --repair",
    ),
}


class WithExamples(TyperCommand):
    """A command whose help ends with examples, as they are typed: lines are not broken."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, then the examples, and for `select` the strategies."""
        super().format_help(ctx, formatter)
        print("\n".join(["Examples:", *(f"  {line}" for line in EXAMPLES[self.name or ""]), ""]))
        if self.name == "select":
            print(strategies_help())
