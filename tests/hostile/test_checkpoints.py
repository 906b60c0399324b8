"""Checkpoints of a training: what was changed or cut is made again, never believed."""

import json

import numpy as np
import pytest

pytest.importorskip("diffusers")

from entroloop.generators.unet.model import UNetDiffusion
from entroloop.samples import SampleSet


class StopError(Exception):
    pass


def fit(scratch, progress=lambda done, total: None):
    rng = np.random.default_rng(0)
    images = SampleSet.of_generation(rng.integers(0, 256, (16, 8, 8, 1), dtype=np.uint8), 0)
    generator = UNetDiffusion(
        name="unet_diffusion", size="tiny", steps=6, warmup=2, batch_size=8, checkpoint_every=2
    )
    model = generator.fit(images, seed=1, device="cpu", threads=1, progress=progress,
                          scratch=scratch)  # fmt: skip
    return np.concatenate([p.detach().numpy().ravel() for p in model.unet.parameters()])


@pytest.fixture(scope="module")
def whole():
    return fit(None)


@pytest.mark.parametrize("damage", ["step", "byte", "cut", "emptied", "zeros", "junk"])
def test_a_checkpoint_that_was_changed_is_not_believed(damage, whole, tmp_path):
    scratch = tmp_path / "scratch"

    def stop(done, total):
        if done / total > 0.7:
            raise StopError

    with pytest.raises(StopError):
        fit(scratch, stop)
    state, weights = scratch / "state.json", scratch / "state.safetensors"
    content = bytearray(weights.read_bytes())
    if damage == "step":
        state.write_text(json.dumps(json.loads(state.read_text()) | {"step": 2}))
    elif damage == "byte":
        content[-5] ^= 1
        weights.write_bytes(content)
    elif damage == "cut":
        weights.write_bytes(content[:-100])
    elif damage == "emptied":
        weights.write_bytes(b"")
    elif damage == "junk":
        state.write_bytes(b"\x00" * 9)
    else:
        content[-4000:] = bytes(4000)
        weights.write_bytes(content)
    shares = []
    again = fit(scratch, lambda done, total: shares.append(done / total))
    assert min(shares) < 0.5  # from the start
    np.testing.assert_array_equal(again, whole)
