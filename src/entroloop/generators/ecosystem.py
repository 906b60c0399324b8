"""An ecosystem: several models, each trained on its share of one pool that all of them fill."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from entroloop.errors import InputError
from entroloop.generators import Generator, Model
from entroloop.generators.mlp_diffusion import MLPDiffusion
from entroloop.generators.row_format import (
    RowFormat,
    read_row_format,
    told_by,
    write_settings,
)
from entroloop.generators.table import GENERATORS
from entroloop.plugins.settings import validate_settings
from entroloop.samples import Array, SampleSet
from entroloop.seeding import rng_for, seed_for
from entroloop.system.progress_line import Progress


class Ecosystem(BaseModel):
    """Settings: how many models share the pool, and what each of them is.

    The rows of a training set are dealt out at random, so that each of M members sees about one in
    M of them, and each makes about as many samples: the pool of the next generation (the setting of
    arXiv 2512.15011; this form is ours). A training costs M times that of a member: for equal cost
    give members 1/M of the steps.

    members: M. of: the generator of a member, by its name, with its settings: any but an ecosystem.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    SAMPLING: ClassVar[tuple[str, ...]] = ()
    name: Literal["ecosystem"] = "ecosystem"
    members: int = Field(default=4, ge=1)
    of: Any = MLPDiffusion()

    @field_validator("of", mode="before")
    @classmethod
    def _is_a_generator(cls, of: Any) -> Any:
        """Return the settings of a member; what their table does not know, they are not."""
        if isinstance(of, BaseModel):
            return of
        if not isinstance(of, Mapping):
            raise InputError("`of` takes the settings of a generator, such as {name: kde}")
        found = GENERATORS.find(of.get("name"), "`of`")
        if issubclass(found, Ecosystem):
            raise InputError("an ecosystem is no member of another")
        return validate_settings(found, of, "`of`")

    @property
    def _member(self) -> Generator:
        return cast(Generator, self.of)

    @property
    def given(self) -> str | None:
        """What the keys of members depend on beside their settings, as `Pipeline.given`."""
        return getattr(self.of, "given", None)

    @property
    def COUPLES(self) -> bool:  # noqa: N802  # as other generators say it of their class
        """Whether members train rows with the noise that they were made of."""
        return bool(getattr(self.of, "COUPLES", False))

    @property
    def needs_previous(self) -> bool:
        """Whether members start from those of the previous generation."""
        return self._member.needs_previous

    def fit(
        self,
        training_set: SampleSet,
        *,
        seed: int,
        device: str,
        threads: int,
        progress: Progress,
        scratch: Path | None = None,
        previous: Path | None = None,
    ) -> EcosystemModel:
        """Train each member on its share; raises InputError where a share is a single row."""
        row_format, m = RowFormat.of(training_set.data), self.members
        if len(training_set) < 2 * m:
            raise InputError(
                f"the training set holds {len(training_set)} rows, and {m} members need 2 each; "
                "lower generator.members"
            )
        order = rng_for(seed, 0, "members").permutation(len(training_set))
        members: list[Model] = []
        for i, rows in enumerate(np.array_split(order, m)):
            members.append(self._member.fit(
                training_set.take(np.sort(rows)),
                seed=seed_for(seed, 0, "member", i) if i else seed,
                device=device,
                threads=threads,
                progress=lambda done, total, i=i: progress(i * total + done, m * total),  # type: ignore[misc]
                scratch=None if scratch is None else scratch / f"member-{i}",
                previous=None if previous is None else previous / f"member-{i}",
            ))  # fmt: skip
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        return EcosystemModel(self, row_format, members)

    def stored_bytes(self, shape: tuple[int, ...], rows: int) -> int:
        """Return the size of all members."""
        return self.members * self._member.stored_bytes(shape, -(-rows // self.members))

    def load(self, folder: Path, *, device: str, threads: int) -> EcosystemModel:
        """Read what `EcosystemModel.save` wrote."""
        members: list[Model] = [
            self._member.load(folder / f"member-{i}", device=device, threads=threads)
            for i in range(self.members)
        ]
        return EcosystemModel(self, read_row_format(folder), members)


@dataclass(frozen=True)
class EcosystemModel:
    """Trained members, which share the samples."""

    settings: Ecosystem
    row_format: RowFormat
    members: list[Model]

    @property
    def batch(self) -> int:
        """Rows per sampling call."""
        return self.members[0].batch

    @property
    def class_shares(self) -> Sequence[float] | None:
        """The members' shares of each class on average; None if samples have no labels."""
        shares = [member.class_shares for member in self.members]
        if any(share is None for share in shares):
            return None
        return [float(value) for value in np.mean(np.array(shares, dtype=np.float64), axis=0)]

    def sample(self, seeds: Sequence[int], labels: Array | None = None) -> Array:
        """Return one row per seed, each by the member that its seed falls to."""
        whose = np.array([seed % len(self.members) for seed in seeds])
        rows = np.empty((len(seeds), *self.row_format.shape), dtype=self.row_format.dtype)
        for i, member in enumerate(self.members):
            own = np.flatnonzero(whose == i).tolist()
            if own:
                given = None if labels is None else labels[own]
                rows[own] = member.sample([seeds[j] for j in own], given)
        return rows

    def save(self, folder: Path) -> None:
        """Write a folder a member, and model.json, with the means of what members tell."""
        for i, member in enumerate(self.members):
            (folder / f"member-{i}").mkdir()
            member.save(folder / f"member-{i}")
        told = [told_by(folder / f"member-{i}") for i in range(len(self.members))]
        means = {name: float(np.mean([own[name] for own in told])) for name in told[0]}
        settings = self.settings.model_dump(mode="json")
        write_settings(folder, self.row_format, generator=settings, told=means)
