"""entroloop: run, measure, explain and prevent model collapse in self-consuming loops."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
    from entroloop import plot as plot
    from entroloop.cleaning.audit import Audit as Audit
    from entroloop.cleaning.audit import audit as audit
    from entroloop.cleaning.duplicates import Duplicates as Duplicates
    from entroloop.cleaning.duplicates import duplicates as duplicates
    from entroloop.commands.measure import measure as measure
    from entroloop.commands.run import run_study as run_study
    from entroloop.data.loading import load as load
    from entroloop.engines.ray import RayEngine as RayEngine
    from entroloop.errors import InputError as InputError
    from entroloop.metrics.entropy import entropy_attenuation as entropy_attenuation
    from entroloop.metrics.entropy import knn_entropy as knn_entropy
    from entroloop.metrics.measure import Measurement as Measurement
    from entroloop.metrics.moments import frechet_distance as frechet_distance
    from entroloop.metrics.neighbourhood import generalization_score as generalization_score
    from entroloop.metrics.neighbourhood import memorized_fraction as memorized_fraction
    from entroloop.monitor.accelerate_callback import accelerate_callback as accelerate_callback
    from entroloop.monitor.lightning_callback import lightning_callback as lightning_callback
    from entroloop.monitor.monitor import Monitor as Monitor
    from entroloop.monitor.trainer_callback import trainer_callback as trainer_callback
    from entroloop.plugins import register as register
    from entroloop.report import render_report as render_report
    from entroloop.report.claims import load_claims as load_claims
    from entroloop.selection import Selection as Selection
    from entroloop.selection import select as select
    from entroloop.selection.estimators import FarthestPointSelector as FarthestPointSelector
    from entroloop.selection.estimators import ThresholdDecaySelector as ThresholdDecaySelector
    from entroloop.selection.realism import realism_weights as realism_weights
    from entroloop.store.records import GenerationRecord as GenerationRecord
    from entroloop.store.records import load_records as load_records
    from entroloop.study.stored import StoredStudy as StoredStudy
    from entroloop.study.stored import load_study as load_study

_HOMES = {
    "Audit": "entroloop.cleaning.audit",
    "audit": "entroloop.cleaning.audit",
    "Duplicates": "entroloop.cleaning.duplicates",
    "duplicates": "entroloop.cleaning.duplicates",
    "FarthestPointSelector": "entroloop.selection.estimators",
    "InputError": "entroloop.errors",
    "RayEngine": "entroloop.engines.ray",
    "ThresholdDecaySelector": "entroloop.selection.estimators",
    "Measurement": "entroloop.metrics.measure",
    "knn_entropy": "entroloop.metrics.entropy",
    "entropy_attenuation": "entroloop.metrics.entropy",
    "load": "entroloop.data.loading",
    "measure": "entroloop.commands.measure",
    "frechet_distance": "entroloop.metrics.moments",
    "generalization_score": "entroloop.metrics.neighbourhood",
    "memorized_fraction": "entroloop.metrics.neighbourhood",
    "Monitor": "entroloop.monitor.monitor",
    "accelerate_callback": "entroloop.monitor.accelerate_callback",
    "lightning_callback": "entroloop.monitor.lightning_callback",
    "trainer_callback": "entroloop.monitor.trainer_callback",
    "GenerationRecord": "entroloop.store.records",
    "load_records": "entroloop.store.records",
    "StoredStudy": "entroloop.study.stored",
    "load_claims": "entroloop.report.claims",
    "load_study": "entroloop.study.stored",
    "register": "entroloop.plugins",
    "render_report": "entroloop.report",
    "Selection": "entroloop.selection",
    "select": "entroloop.selection",
    "realism_weights": "entroloop.selection.realism",
    "run_study": "entroloop.commands.run",
    "plot": "entroloop.plot",  # public as a whole: el.plot.entropy
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562): `import entroloop` is cheap."""
    if name == "__version__":
        return import_module("importlib.metadata").version("entroloop")
    if name not in _HOMES:
        raise AttributeError(f"module 'entroloop' has no attribute '{name}'")
    home = import_module(_HOMES[name])
    value = home if home.__name__ == f"{__name__}.{name}" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
