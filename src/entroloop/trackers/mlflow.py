"""MLflow: an experiment in a local database file."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from entroloop.trackers.tracker import TrackedRun

TAG = "entroloop.run"


class MLflow:
    """See `Tracker`; `mlflow ui --backend-store-uri sqlite:///….db` shows the curves."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._client: Any = None
        self._ids: dict[str, str] = {}

    def log(self, run: TrackedRun, generation: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        if self._client is None:
            self._client = _client(self._folder)
        from mlflow.entities import Metric

        if run.key not in self._ids:
            self._ids[run.key] = self._begun(run)
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, generation) for name, value in values.items()]
        self._client.log_batch(self._ids[run.key], metrics=metrics)

    def close(self) -> None:
        """See `Tracker`."""
        for run_id in self._ids.values():
            self._client.set_terminated(run_id)

    def _begun(self, run: TrackedRun) -> str:
        """Return the id of a run, of an earlier call or new."""
        known = self._client.get_experiment_by_name(run.study)
        place = (self._folder / "artifacts").resolve().as_uri()
        experiment = (
            known.experiment_id
            if known is not None
            else self._client.create_experiment(run.study, artifact_location=place)
        )
        found = self._client.search_runs([experiment], filter_string=f"tags.`{TAG}` = '{run.key}'")
        if found:
            return str(found[0].info.run_id)
        made = self._client.create_run(experiment, run_name=run.name, tags={TAG: run.key})
        for name, value in run.settings.items():
            self._client.log_param(made.info.run_id, name, value)
        return str(made.info.run_id)


def _client(folder: Path) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
    from mlflow.tracking import MlflowClient

    folder.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=f"sqlite:///{(folder / 'mlflow.db').resolve()}")
