"""How torch computes on a CPU: its thread count is a setting, since it changes the last bits of a
result; a batch is computed in parts, one a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def intra_op_threads(threads: int) -> Iterator[None]:
    """Set torch's thread count inside the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class BatchInParts:
    """The gradient of a batch, each part of it computed by a thread of its own.

    Threads that share every operation wait for each other at its end, and many operations of a
    small network take one thread only. The parts' gradients are added in their order: a result
    depends on how many parts there are, and on nothing else. torch's own threads must be one (see
    `intra_op_threads`): those that wait for work would take the processors from the parts.
    """

    def __init__(self, parameters: Sequence[Tensor], parts: int) -> None:
        import torch

        self._parameters = parameters
        self._threads = ThreadPoolExecutor(parts, initializer=torch.set_num_threads, initargs=(1,))
        self._parts = parts

    def backward(
        self, loss: Callable[..., Tensor], batch: Sequence[Tensor | None], share: float
    ) -> Tensor:
        """Add share × the gradient of a batch's loss to the parameters'; return the loss.

        loss: the mean over the images (n, …) of the tensors that it is given, those of `batch`.
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
        """End the threads."""
        self._threads.shutdown()
