"""The cases of the bench, in the order of the page: one file and one entry here add a case."""

from __future__ import annotations

from entroloop.theory.case import Case
from entroloop.theory.counterexample import COUNTEREXAMPLE
from entroloop.theory.gaussian import GAUSSIAN
from entroloop.theory.kde import KERNEL
from entroloop.theory.regression import REGRESSION
from entroloop.theory.truncation import TRUNCATION
from entroloop.theory.uniform import UNIFORM
from entroloop.theory.weighted import WEIGHTED
from entroloop.theory.zipf import ZIPF

_ORDER = (
    GAUSSIAN, WEIGHTED, REGRESSION, ZIPF, KERNEL, TRUNCATION, UNIFORM, COUNTEREXAMPLE
)  # fmt: skip
CASES: dict[str, Case] = {case.name: case for case in _ORDER}
