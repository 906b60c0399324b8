"""Batches of a training on a CPU, split into parts, one per thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


class BatchInParts:
    """Compute the gradient of a batch in parts, each in its own thread.

    Threads that share every operation wait for each other at its end, and many operations of a
    small network use only one thread. The parts' gradients are added in order: the result depends
    on the number of parts and nothing else. torch itself must use one thread (see
    `system.threads.intra_op_threads`): idle torch threads would take processors from the parts.
    """

    def __init__(self, parameters: Sequence[Tensor], parts: int) -> None:
        import torch

        self._parameters = parameters
        self._threads = ThreadPoolExecutor(parts, initializer=torch.set_num_threads, initargs=(1,))
        self._parts = parts

    def backward(
        self, loss: Callable[..., Tensor], batch: Sequence[Tensor | None], share: float
    ) -> Tensor:
        """Add share × the gradient of a batch's loss to the parameters' gradients; return the loss.

        loss: takes the tensors of `batch`, or parts of them, and returns the mean loss over their
        images (n, …).
        """
        import torch

        n = next(len(values) for values in batch if values is not None)
        weights = [len(part) / n for part in torch.arange(n).tensor_split(self._parts)]
        split = [[None] * self._parts if v is None else v.tensor_split(self._parts) for v in batch]

        def gradient(weight: float, *part: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
            found = loss(*part) * weight
            return found.detach(), torch.autograd.grad(
                found * share, self._parameters, materialize_grads=True
            )

        found = list(self._threads.map(gradient, weights, *split))
        for _, gradients in found:
            for parameter, own in zip(self._parameters, gradients, strict=True):
                parameter.grad = own if parameter.grad is None else parameter.grad.add_(own)
        return torch.stack([own for own, _ in found]).sum()

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown()
