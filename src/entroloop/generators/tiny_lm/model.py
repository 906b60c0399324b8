"""A GPT-2 trained from scratch on texts, and how it samples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.generators.row_format import RowFormat, read_row_format, write_settings
from entroloop.generators.tiny_lm.settings import TinyLMSettings
from entroloop.generators.tiny_lm.training import padded, train
from entroloop.generators.tiny_lm.vocabulary import END, Vocabulary
from entroloop.modalities.text import check_text, lengths_of, rows_of_bytes, texts_of
from entroloop.samples import Array, SampleSet
from entroloop.seeding import seed_for
from entroloop.system.progress_line import Progress
from entroloop.system.threads import intra_op_threads

if TYPE_CHECKING:
    from torch import Tensor

TEXTS, SCORES = 64, 2**24  # of held-out texts that are scored at once, and their tokens' scores


class TinyLM(TinyLMSettings):
    """A GPT-2 trained on texts; its settings are those of `TinyLMSettings`."""

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
    ) -> TinyLMModel:
        """Learn the vocabulary and train a new network; bitwise repeatable on a CPU."""
        row_format = RowFormat.of(training_set.data)
        check_text(training_set.data, "the generator tiny_lm")
        texts = texts_of(training_set.data)
        if not any(texts):
            raise InputError("the training set holds empty texts alone; there is nothing to learn")
        vocabulary = Vocabulary.learned(texts, self.vocabulary)
        length = row_format.shape[0]
        tokens = [
            # A text that was cut has no end to learn.
            [END, *vocabulary.encoded(text), *([END] if len(text) < length else [])]
            for text in texts if text
        ]  # fmt: skip
        with intra_op_threads(threads):
            network = self.network(len(vocabulary), length, seed_for(seed, 0, "initialization"))
            train(self, network.to(device), tokens, seed_for(seed, 0, "training"), progress)
        return TinyLMModel(self, row_format, vocabulary, network.eval(), threads)

    def network(self, tokens: int, length: int, seed: int) -> Any:
        """Return a new GPT-2 for texts of at most so many bytes."""
        import torch

        config, model = _transformers()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return model(
                config(
                    vocab_size=tokens, n_positions=length + 1, n_embd=self.width,
                    n_layer=self.layers, n_head=self.heads, resid_pdrop=self.dropout,
                    embd_pdrop=self.dropout, attn_pdrop=self.dropout,
                    bos_token_id=END, eos_token_id=END, attn_implementation="sdpa",
                )
            )  # fmt: skip

    def stored_bytes(self, shape: tuple[int, ...], rows: int) -> int:
        """Return the size of the weights, float32."""
        w = self.width
        return 4 * (w * (self.vocabulary + shape[0] + 1) + self.layers * 12 * w * (w + 1))

    def load(self, folder: Path, *, device: str, threads: int) -> TinyLMModel:
        """Read a model that `TinyLMModel.save` wrote."""
        from safetensors.torch import load_file

        row_format = read_row_format(folder)
        merges = json.loads((folder / "vocabulary.json").read_text("utf-8"))
        vocabulary = Vocabulary(tuple((int(a), int(b)) for a, b in merges))
        network = self.network(len(vocabulary), row_format.shape[0], 0)
        network.load_state_dict(load_file(folder / "network.safetensors"), strict=False)
        return TinyLMModel(self, row_format, vocabulary, network.to(device).eval(), threads)


@dataclass(frozen=True)
class TinyLMModel:
    """A trained network with its vocabulary."""

    class_shares: ClassVar[None] = None

    settings: TinyLM
    row_format: RowFormat
    vocabulary: Vocabulary
    network: Any
    threads: int
    batch: int = 256

    def sample(self, seeds: Sequence[int], labels: Array | None = None) -> Array:
        """Return one text per seed, uint8 (n, length).

        Token by token, from the most likely ones that together have the probability `top_p`; which
        of them is told by the row's own uniform numbers, so that no row depends on others.
        """
        import torch

        length = self.row_format.shape[0]
        uniform = np.stack([np.random.default_rng(seed).random(length) for seed in seeds])
        made: list[bytearray] = [bytearray() for _ in seeds]
        active = np.ones(len(seeds), dtype=bool)
        device = next(self.network.parameters()).device
        with intra_op_threads(self.threads), torch.inference_mode():
            ids = torch.full((len(seeds), 1), END, device=device)
            cache = None
            for step in range(length):
                out = self.network(input_ids=ids, past_key_values=cache, use_cache=True)
                cache = out.past_key_values
                drawn = self._drawn(out.logits[:, -1], uniform[:, step], first=step == 0)
                for i in np.flatnonzero(active):
                    made[i] += self.vocabulary.tokens[drawn[i]]
                    active[i] = drawn[i] != END and len(made[i]) < length
                if not active.any():
                    break
                ids = torch.from_numpy(drawn[:, None]).to(device)
        return rows_of_bytes([bytes(text) for text in made], length)

    def _drawn(self, logits: Tensor, uniform: Array, first: bool) -> NDArray[np.int64]:
        """Return the next token of each row; a text is at least one token long."""
        scaled = logits.double().cpu().numpy() / self.settings.temperature
        if not np.isfinite(scaled).all():
            raise InputError(
                "the model gives NaN or infinite scores: its training diverged; lower generator.lr"
            )
        if first:
            scaled[:, END] = -np.inf
        order = np.argsort(-scaled, axis=1, kind="stable")
        ordered = np.take_along_axis(scaled, order, axis=1)
        weights = np.exp(ordered - ordered[:, :1])
        mass = weights.cumsum(axis=1)
        # The last token that is needed for the share top_p is the first at which it is reached.
        kept = (mass < self.settings.top_p * mass[:, -1:]).sum(axis=1).clip(0, mass.shape[1] - 1)
        limit = np.take_along_axis(mass, kept[:, None], axis=1)[:, 0]
        at = (mass <= (uniform * limit)[:, None]).sum(axis=1)
        return np.take_along_axis(order, at[:, None], axis=1)[:, 0]

    def log_likelihood(self, rows: Array) -> NDArray[np.float64]:
        """Return ln p of each token of texts given what precedes it, (n, length) float64, in nats.

        It stands at the token's first byte, 0 at its others, NaN after the text; temperature and
        top_p have no part in it.
        """
        import torch

        found = np.full(rows.shape, np.nan)
        device = next(self.network.parameters()).device
        tokens = [self.vocabulary.encoded(text) for text in texts_of(rows)]
        size = min(TEXTS, max(1, SCORES // ((rows.shape[1] + 1) * len(self.vocabulary))))
        with intra_op_threads(self.threads), torch.inference_mode():
            for start in range(0, len(rows), size):
                some = tokens[start : start + size]
                given, _ = padded([[END, *own] for own in some])
                logits = self.network(input_ids=torch.from_numpy(given).to(device)).logits
                scores = logits.double().log_softmax(dim=2).cpu().numpy()
                for i, own in enumerate(some):
                    sizes = [len(self.vocabulary.tokens[token]) for token in own]
                    at = np.cumsum([0, *sizes])
                    found[start + i, : at[-1]] = 0
                    found[start + i, at[:-1]] = scores[i, np.arange(len(own)), own]
        assert np.array_equal(np.isfinite(found).sum(axis=1), lengths_of(rows))
        return found

    def save(self, folder: Path) -> None:
        """Write network.safetensors, vocabulary.json (the merges) and model.json."""
        from safetensors.torch import save_file

        # The output layer is the embedding: it is stored once.
        tensors = {
            name: value.contiguous().cpu()
            for name, value in self.network.state_dict().items() if name != "lm_head.weight"
        }  # fmt: skip
        save_file(tensors, folder / "network.safetensors")
        (folder / "vocabulary.json").write_text(json.dumps(self.vocabulary.merges), "utf-8")
        write_settings(folder, self.row_format, generator=self.settings.model_dump())


def _transformers() -> tuple[Any, Any]:
    try:
        from transformers import GPT2Config, GPT2LMHeadModel
    except ImportError:
        raise InputError(
            "the generator tiny_lm needs transformers: python -m pip install 'entroloop[features]'"
        ) from None
    return GPT2Config, GPT2LMHeadModel
