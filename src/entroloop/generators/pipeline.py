"""A saved diffusers pipeline: as it is in generation 1, or fine-tuned in every generation."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

from entroloop.errors import InputError, one_line
from entroloop.generators.row_format import RowFormat
from entroloop.generators.unet.model import (
    UNetDiffusion,
    UNetDiffusionModel,
    check_images,
    load_network,
    read_part,
)
from entroloop.generators.unet.sampling import noise_scheduler
from entroloop.samples import SampleSet
from entroloop.system.files import sha256
from entroloop.system.progress_line import Progress
from entroloop.system.threads import intra_op_threads

# What a scheduler must have in common with the settings that train and sample.
SCHEDULE = ("num_train_timesteps", "beta_schedule", "beta_start", "beta_end", "prediction_type")


@cache
def _hash_of(file: Path, changed: int) -> str:  # noqa: ARG001  # what the hash depends on
    return sha256(file)


class Pipeline(UNetDiffusion):
    """Settings: those of a U-Net, and `path`, a pipeline folder or Hub id with a UNet2DModel.

    init: `scratch`: generation 1 uses that model unchanged, later ones train a network of its
    architecture from new weights. `finetune`: later ones go on from the generation before.
    `pipeline`: every generation, the first included, fine-tunes the given network's weights on its
    own training set. Noise schedule and prediction are to be those that the pipeline was trained
    with: where its scheduler says something else, the settings are refused.
    """

    name: Literal["pipeline"] = "pipeline"  # type: ignore[assignment]
    init: Literal["scratch", "finetune", "pipeline"] = "scratch"  # type: ignore[assignment]
    path: str

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
    ) -> UNetDiffusionModel:
        """Return the given model in generation 1, unless it is fine-tuned, else a trained one."""
        if previous is not None or self.init == "pipeline":
            return super().fit(
                training_set, seed=seed, device=device, threads=threads, progress=progress,
                scratch=scratch, previous=previous,
            )  # fmt: skip
        row_format = RowFormat.of(training_set.data)
        check_images(row_format, self)
        unet = self._given(row_format.shape[2])
        with intra_op_threads(threads):
            unet = unet.to(device).eval()
        progress(1, 1)
        return UNetDiffusionModel(
            self, row_format, unet, device, threads, self.shares_of(training_set)
        )

    def network(self, shape: tuple[int, ...], seed: int) -> Any:
        """Return the given network, or one of its architecture with weights drawn by the seed."""
        import torch
        from diffusers import UNet2DModel

        given = self._given(shape[2])
        if self.init == "pipeline":
            return given
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return UNet2DModel.from_config(given.config)

    def weights(self, channels: int) -> int:
        """Return how many weights the given network has.

        Raises InputError for a pipeline that these settings do not fit, before a study begins.
        """
        return sum(int(p.numel()) for p in self._given(channels).parameters())

    @property
    def given(self) -> str | None:
        """A hash of the given weights where every training starts from them; part of the keys."""
        files = sorted((Path(self.path) / "unet").glob("*.safetensors"))
        if self.init != "pipeline" or not files:  # of the Hub: the id is all that is known
            return None
        return " ".join(_hash_of(file, file.stat().st_mtime_ns) for file in files)

    @property
    def stride(self) -> int:
        """1: height and width are padded to the network's own size, not to a multiple."""
        return 1

    def _given(self, channels: int) -> Any:
        """Return the given network; raises InputError for one that these settings do not fit."""
        where = f"generator.path {self.path}"
        try:
            found = read_part(self.path, "unet")
            kind = found.get("_class_name", "UNet2DModel")
            if kind != "UNet2DModel":
                raise InputError(
                    f"{where} has a {kind}, which takes more than an image; give a pipeline of "
                    "images alone, with a UNet2DModel"
                )
            self._check_schedule(read_part(self.path, "scheduler"))
            unet = load_network(self.path)
        except InputError:
            raise
        except (OSError, ValueError) as error:
            told = one_line(error, 160)
            raise InputError(
                f"{where} holds no pipeline with a U-Net ({told}); give a folder that "
                "DiffusionPipeline.save_pretrained wrote, or a Hub id"
            ) from None
        self._check_network(unet.config, channels)
        return unet

    def _check_network(self, config: Any, channels: int) -> None:
        where = f"generator.path {self.path}"
        if config.in_channels != channels:
            raise InputError(
                f"{where} takes images of {config.in_channels} channels; the data has {channels}: "
                "set data.mode"
            )
        if config.out_channels != channels:
            raise InputError(
                f"{where} predicts {config.out_channels} channels of {channels}: a learned "
                "variance, which entroloop neither trains nor samples with"
            )
        classes = None if self.classes is None else self.classes + 1
        if config.num_class_embeds != classes:
            raise InputError(
                f"{where} knows {config.num_class_embeds or 'no'} classes, and generator.classes "
                f"= {self.classes} needs {classes or 'none'} (one of them for no class)"
            )

    def _check_schedule(self, given: dict[str, Any]) -> None:
        """Refuse settings under which the network would be asked for something else."""
        own = noise_scheduler(self).config
        named = {"num_train_timesteps": "train_timesteps", "prediction_type": "prediction"}
        for key in SCHEDULE:
            if key in given and given[key] != own[key]:
                setting = named.get(key, key)
                mend = f"set generator.{setting}={given[key]}"
                if setting not in type(self).model_fields:
                    mend = "entroloop trains and samples with its own alone"
                raise InputError(
                    f"generator.path {self.path} was trained with {key} {given[key]}, the settings "
                    f"have {own[key]}: {mend}"
                )
