"""Charts of a study for papers and notebooks, as matplotlib figures: `el.plot.entropy("runs/x")`.

Each function takes a study folder, its URL, or records as `load_records` returns them. Pages lie in
`report/`; this room only draws.
"""

from entroloop.plot.charts import CHARTS as CHARTS
from entroloop.plot.charts import coverage_precision as coverage_precision
from entroloop.plot.charts import curve as curve
from entroloop.plot.charts import entropy as entropy
from entroloop.plot.charts import entropy_against_score as entropy_against_score
from entroloop.plot.charts import frechet_distance as frechet_distance
from entroloop.plot.charts import generalization_score as generalization_score
from entroloop.plot.charts import provenance as provenance
from entroloop.plot.charts import real_share as real_share
from entroloop.plot.charts import taken as taken
from entroloop.plot.files import write_figures as write_figures

__all__ = [
    "CHARTS", "coverage_precision", "curve", "entropy", "entropy_against_score",
    "frechet_distance", "generalization_score", "provenance", "real_share", "taken",
    "write_figures",
]  # fmt: skip
