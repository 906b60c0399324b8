"""Matrix-multiply back ends: NumPy on the CPU, with compiled loops where they pay, torch on a GPU.

They compute the two nearest of a block of picks, the pairs that are near enough, and products of
single pairs. Back ends differ in rounding only, within the bound that `rounding` states, so that no
decision depends on which one is used.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from entroloop.samples import Array
from entroloop.system import compiled
from entroloop.system.devices import device_for
from entroloop.system.memory import cache_bytes
from entroloop.system.threads import in_threads, threads_here

KERNELS = "entroloop.distances.kernels"
WORTH_KERNELS = 1e11  # multiplications and additions: a second
WORTH_A_GPU = 5e11  # multiplications and additions: seconds of a CPU
# One product of rows and picks stays in the cache, with the rows and picks that it is made of.
TILE_BYTES = int(min(max(cache_bytes() // 8, 2**20), 8 * 2**20))
PAIRS_AT_ONCE = 256  # whose rows stay in the cache between their copy and their product
FEWEST_IN_A_BAND = 64  # of rows whose products with one another threads share
LeastTwo = tuple[Array, Array, Array]


class Multiplier(Protocol):
    """The multiply interface; a handle is whatever `load` returns, and can be sliced.

    threaded: whether threads that multiply side by side share the work. pair: what the product of a
    single pair costs, in products of a block of many. again: what another product costs beside its
    distances, in distances. tile_bytes, picks_at_once: of a product that is best made at once.
    """

    threaded: bool
    pair: float
    again: int
    tile_bytes: int
    picks_at_once: int

    def load(self, rows: Array) -> Any:
        """Return a handle of rows (m, d), in the memory where they are multiplied."""

    def room(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return a handle of rows of this shape that are still to be written."""

    def write(self, handle: Any, where: slice, rows: Array) -> None:
        """Write rows into a handle."""

    def gather(self, handle: Any, index: Array) -> Any:
        """Return some rows of a handle."""

    def nearest_two(
        self, handle: Any, picks: Any, halves: Array, skip: Array, floor: Array
    ) -> tuple[Array, LeastTwo]:
        """Return the rows with a gain x_i·y_j − halves_j ≥ floor_i, and of each its largest gain
        over picks j ≥ skip_i, the j that reaches it, and its second largest.

        picks: a handle (p, d). halves (p,) in the dtype of the rows, skip (m,) int64 below p, floor
        (m,) float64. With halves_j = |y_j|²/2 the squared distance is |x_i|² − 2 gain. A row may be
        returned for a pick that it skips. The second is −inf where there is one pick.
        """

    def reaching(self, handle: Any, picks: Any, halves: Array, floor: Array) -> tuple[Array, Array]:
        """Return (i, j) of all gains x_i·y_j − halves_j ≥ floor_i, by i, j; see `nearest_two`.

        float32 gains are held against the floor rounded down.
        """

    def within(self, handle: Any, columns: Array, limit: Array) -> tuple[Array, Array]:
        """Return (i, j) of all products x_i·c_j ≤ limit_i of rows and columns c (p, d), by i, j.

        limit: (m,) float64; float32 products are held against it rounded up.
        """

    def products(self, handle: Any, i: Array, picks: Array, j: Array) -> Array:
        """Return x_i·y_j of pairs (q,)."""

    def among(self, rows: Array) -> Array:
        """Return all products of rows (m, d), which lie here, with one another, (m, m)."""


def rounding(d: int, dtype: Any) -> float:
    """Return κ such that each squared distance from these products is off by < κ (|x| + |y|)².

    A dot product of length d, in any order of summation, fused or not, is off by at most
    γ_d |x||y|, γ_d = d u/(1 − d u), u the unit roundoff (Higham 2002, § 3.1); 16 more roundings
    cover centring, squares and final sums.
    """
    u = float(np.finfo(dtype).eps) / 2
    return 1.05 * (d + 16) * u


class NumpyMultiplier:
    """NumPy's multiply on the CPU."""

    threaded: bool = True
    pair: float = 32
    again: int = 2**16
    tile_bytes: int = TILE_BYTES
    picks_at_once: int = 512

    def __init__(self) -> None:
        self._rows = _Workspace()
        self._tile = _Workspace()

    def load(self, rows: Array) -> Array:
        """Return the rows themselves."""
        return rows

    def room(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """See `Multiplier`."""
        return np.empty(shape, dtype)

    def write(self, handle: Array, where: slice, rows: Array) -> None:
        """See `Multiplier`."""
        handle[where] = rows

    def gather(self, handle: Array, index: Array) -> Array:
        """Return some rows, in memory that the next call reuses."""
        rows: Array = self._rows.array((len(index), handle.shape[1]), handle.dtype)
        handle.take(index, axis=0, out=rows, mode="clip")
        return rows

    def nearest_two(
        self, handle: Array, picks: Array, halves: Array, skip: Array, floor: Array
    ) -> tuple[Array, LeastTwo]:
        """See `Multiplier`."""
        return nearest_two_of(self._gains(handle, picks, halves), skip, floor)

    def reaching(
        self, handle: Array, picks: Array, halves: Array, floor: Array
    ) -> tuple[Array, Array]:
        """See `Multiplier`."""
        gains = self._gains(handle, picks, halves)
        least = -rounded_up(-floor, gains.dtype)
        return _pairs(gains >= least[:, None])

    def _gains(self, handle: Array, picks: Array, halves: Array) -> Array:
        gains = self.tile(handle, picks)
        gains -= halves
        return gains

    def within(self, handle: Array, columns: Array, limit: Array) -> tuple[Array, Array]:
        """See `Multiplier`."""
        tile = self.tile(handle, columns)
        return _pairs(tile <= rounded_up(limit, tile.dtype)[:, None])

    def tile(self, rows: Array, columns: Array) -> Array:
        """Return all products of rows (m, d) and columns (p, d), in memory that is reused."""
        tile = self._tile.array((len(rows), len(columns)), rows.dtype)
        with _padding_ignored():
            np.matmul(rows, columns.T, out=tile)
        return tile

    def products(self, handle: Array, i: Array, picks: Array, j: Array) -> Array:
        """See `Multiplier`."""
        out = np.empty(len(i), handle.dtype)
        for start in range(0, len(i), PAIRS_AT_ONCE):
            part = slice(start, start + PAIRS_AT_ONCE)
            shape = len(i[part]), handle.shape[1]
            x, y = (memory.array(shape, handle.dtype) for memory in (self._rows, self._tile))
            handle.take(i[part], axis=0, out=x, mode="clip")
            picks.take(j[part], axis=0, out=y, mode="clip")
            with _padding_ignored():
                np.vecdot(x, y, out=out[part])
        return out

    def among(self, rows: Array) -> Array:
        """See `Multiplier`; threads compute half of it, whose mirror image is the other half."""
        if threads_here() == 1:
            found: Array = rows @ rows.T
            return found
        found = np.empty((len(rows), len(rows)), rows.dtype)

        def multiply(part: slice) -> None:
            np.matmul(rows[part], rows[: part.stop].T, out=found[part, : part.stop])
            found[: part.start, part] = found[part, : part.start].T

        threads = threads_here()
        size = max(-(-len(rows) // (2 * threads)), FEWEST_IN_A_BAND)
        bands = [slice(max(stop - size, 0), stop) for stop in range(len(rows), 0, -size)]
        in_threads(multiply, bands, threads)  # the longest first
        return found


class CompiledMultiplier(NumpyMultiplier):
    """NumPy's multiply, or that of compiled loops, which multiply single pairs without copying."""

    pair: float = 12
    again: int = 2**14

    def __init__(self) -> None:
        super().__init__()
        self._outlines = _Workspace()

    @property
    def kernels(self) -> Any:
        """The module of compiled loops."""
        return import_module(KERNELS)

    def workspaces(self, m: int, d: int, k: int, p: int) -> tuple[Array, Array, Array]:
        """Return float32 memory for m rows of d values, of k values, and m·p products; reused."""
        tile = self._tile.array((m, p), np.float32).reshape(-1)
        return self._rows.array((m, d), np.float32), self._outlines.array((m, k), np.float32), tile


def _padding_ignored() -> np.errstate:
    """Return a context in which no warning tells of invalid values.

    Rows are finite and scaled, so that no result is invalid. But kernels for narrow rows also
    compute on what lies beside them in memory, and raise the processor's flag for what they then
    discard (seen on an Intel Xeon with OpenBLAS: 6 × 5 zeros by 5 × 1).
    """
    return np.errstate(invalid="ignore")


class _Workspace(threading.local):
    """Reused memory, each thread's own: fresh megabytes cost a page fault per 4 KiB."""

    def __init__(self) -> None:
        self._memory = np.empty(0, dtype=np.uint8)

    def __reduce__(self) -> tuple[type[_Workspace], tuple[()]]:
        return _Workspace, ()  # nothing in it outlives a call

    def array(self, shape: tuple[int, int], dtype: Any) -> Array:
        """Return an uninitialized array in the memory."""
        size = shape[0] * shape[1] * np.dtype(dtype).itemsize
        if len(self._memory) < size:
            self._memory = np.empty(size + size // 4, dtype=np.uint8)
        array: Array = self._memory[:size].view(dtype).reshape(shape)
        return array


class CudaMultiplier:
    """torch's multiply on a CUDA GPU: rows stay there, three columns come back; TF32 is off."""

    threaded: bool = False  # one GPU, which Python feeds: few large products, one after the other
    pair: float = 32
    again: int = 2**26
    tile_bytes: int = 2**29
    picks_at_once: int = 2**17

    def __init__(self, device: str = "cuda") -> None:
        self._device = device
        if device == "cuda":
            import torch

            free, _ = torch.cuda.mem_get_info()  # rows and picks lie there, and passes over a tile
            self.tile_bytes = int(min(max(free // 16, 2**26), 2**31))

    def load(self, rows: Array) -> Any:
        """Return the rows on the GPU."""
        return on_device(np.ascontiguousarray(rows), self._device)

    def room(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """See `Multiplier`."""
        return on_device(np.empty(shape, dtype), self._device)

    def write(self, handle: Any, where: slice, rows: Array) -> None:
        """See `Multiplier`."""
        handle[where] = on_device(rows, self._device)

    def gather(self, handle: Any, index: Array) -> Any:
        """Return some rows, on the GPU."""
        return handle.index_select(0, on_device(index, self._device))

    def nearest_two(
        self, handle: Any, picks: Any, halves: Array, skip: Array, floor: Array
    ) -> tuple[Array, LeastTwo]:
        """See `Multiplier`."""
        import torch

        bias, first, least = (on_device(a, self._device) for a in (halves, skip, floor))
        gains = torch.addmm(bias, handle, picks.T, beta=-1)
        rows = torch.nonzero(gains.amax(dim=1) >= least)[:, 0]
        own = gains[rows]
        if skip.any():
            own[torch.arange(len(picks), device=own.device) < first[rows, None]] = -torch.inf
        largest, where = own.max(dim=1)
        own.scatter_(1, where[:, None], -torch.inf)
        both = torch.stack([largest, own.amax(dim=1)]).cpu().numpy()
        return rows.cpu().numpy(), (both[0], where.cpu().numpy(), both[1])

    def reaching(self, handle: Any, picks: Any, halves: Array, floor: Array) -> tuple[Array, Array]:
        """See `Multiplier`."""
        import torch

        least = -rounded_up(-floor, halves.dtype)
        bias, least = (on_device(a, self._device) for a in (halves, least))
        gains = torch.addmm(bias, handle, picks.T, beta=-1)
        pairs: Array = (gains >= least[:, None]).nonzero().T.cpu().numpy()
        return pairs[0], pairs[1]

    def within(self, handle: Any, columns: Array, limit: Array) -> tuple[Array, Array]:
        """See `Multiplier`."""
        tile = handle @ on_device(columns, self._device).T
        above = on_device(rounded_up(limit, columns.dtype), self._device)
        pairs: Array = (tile <= above[:, None]).nonzero().T.cpu().numpy()
        return pairs[0], pairs[1]

    def products(self, handle: Any, i: Array, picks: Array, j: Array) -> Array:
        """See `Multiplier`."""
        import torch

        rows, columns, y = (on_device(a, self._device) for a in (i, j, picks))
        out = np.empty(len(i), picks.dtype)
        for start in range(0, len(i), 64 * PAIRS_AT_ONCE):
            part = slice(start, start + 64 * PAIRS_AT_ONCE)
            found = torch.linalg.vecdot(handle[rows[part]], y[columns[part]])
            out[part] = found.cpu().numpy()
        return out

    def among(self, rows: Array) -> Array:
        """See `Multiplier`."""
        there = on_device(rows, self._device)
        found: Array = (there @ there.T).cpu().numpy()
        return found


def _pairs(which: Array) -> tuple[Array, Array]:
    i, j = np.divmod(np.flatnonzero(which), which.shape[1])
    return i, j


def rounded_up(limit: Array, dtype: Any) -> Array:
    """Return numbers in a dtype, none of which is smaller than it was."""
    rounded: Array = np.nextafter(limit.astype(dtype), dtype.type(np.inf))
    return rounded


def nearest_two_of(gains: Array, skip: Array, floor: Array) -> tuple[Array, LeastTwo]:
    """Return what `Multiplier.nearest_two` does, of all gains (m, p)."""
    # One pass over all gains finds the few rows that matter; what follows sees those only.
    where = gains.argmax(axis=1)
    rows = np.flatnonzero(gains[np.arange(len(gains)), where] >= floor)
    own, where, lines = gains[rows], where[rows], np.arange(len(rows))
    if skip.any():
        own[np.arange(own.shape[1]) < skip[rows, None]] = -np.inf
        where = own.argmax(axis=1)
    largest = own[lines, where]
    own[lines, where] = -np.inf
    return rows, (largest, where, own.max(axis=1))


def multiplier_for(device: str, work: float = float("inf")) -> Multiplier:
    """Return the back end for a device and an amount of work in multiplications.

    device: "auto" (a CUDA GPU if torch sees one and the work is worth its start), "cpu" or "cuda".
    Raises InputError for "cuda" without a GPU.
    """
    loops = compiled.pays(KERNELS, work, WORTH_KERNELS)  # picks in a block are made by them, too
    if device_for("cpu" if device == "auto" and work < WORTH_A_GPU else device) == "cuda":
        return CudaMultiplier()
    return CompiledMultiplier() if loops else NumpyMultiplier()


def on_device(rows: Array, device: str) -> Any:
    """Return rows as a NumPy array on the CPU, as a torch tensor with TF32 off on a GPU."""
    if device == "cpu":
        return rows
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    return torch.from_numpy(rows).to(device.removeprefix("torch "))
