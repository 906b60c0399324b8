"""The training of a language model on texts as tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.generators.loss import check_loss
from entroloop.generators.tiny_lm.settings import TinyLMSettings
from entroloop.system.progress_line import Progress

IGNORED = -100  # no loss is taken there
WINDOW = 16  # batches whose texts are sorted by length, so that little is padded


def train(
    settings: TinyLMSettings,
    network: Any,
    texts: Sequence[Sequence[int]],
    seed: int,
    progress: Progress,
) -> None:
    """Train a network in place to foretell each token of texts from those before it."""
    import torch

    device = next(network.parameters()).device
    steps = settings.epochs * math.ceil(len(texts) / settings.batch_size)
    warm = max(1, round(settings.warmup * steps))
    groups: list[dict[str, Any]] = [
        {"params": [p for p in network.parameters() if p.ndim > 1]},
        {"params": [p for p in network.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(
        groups,
        lr=settings.lr, betas=(0.9, 0.95), weight_decay=settings.weight_decay, fused=True,
    )  # fmt: skip
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * step / steps))),
    )
    rng, network = np.random.default_rng(seed), network.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)  # of dropout, which takes no generator
        for step, batch in enumerate(batches(texts, settings, rng)):
            given, wanted = (torch.from_numpy(x).to(device) for x in padded(batch))
            logits = network(input_ids=given).logits
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED
            )
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            if step % max(1, steps // 50) == 0:
                check_loss(loss.item(), f"step {step}")
                progress(step, steps)
    progress(1, 1)


def batches(
    texts: Sequence[Sequence[int]], settings: TinyLMSettings, rng: np.random.Generator
) -> Iterator[list[Sequence[int]]]:
    """Yield batches of texts of similar length: all texts once an epoch, in random order."""
    size = settings.batch_size
    for _ in range(settings.epochs):
        order, epoch = rng.permutation(len(texts)), list[list[int]]()
        for start in range(0, len(order), WINDOW * size):
            window = sorted(
                order[start : start + WINDOW * size].tolist(), key=lambda i: len(texts[i])
            )
            epoch += [window[at : at + size] for at in range(0, len(window), size)]
        for at in rng.permutation(len(epoch)):
            yield [texts[i] for i in epoch[at]]


def padded(batch: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the tokens of texts as two arrays: what is given, and what is to be foretold.

    given ends with padding that no earlier token sees; wanted is one token further, IGNORED there.
    """
    longest = max(len(text) for text in batch)
    given = np.zeros((len(batch), longest), dtype=np.int64)
    wanted = np.full((len(batch), longest), IGNORED, dtype=np.int64)
    for i, text in enumerate(batch):
        given[i, : len(text)] = text
        wanted[i, : len(text) - 1] = text[1:]
    return given, wanted
