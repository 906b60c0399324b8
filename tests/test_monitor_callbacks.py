"""The monitor in real training loops: accelerate with a U-Net, Lightning, transformers' Trainer."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

import entroloop as el
from entroloop.monitor.watching import undisturbed, watch

torch = pytest.importorskip("torch")
N, EVERY = 24, 4


@pytest.fixture(scope="module")
def digits():
    """Return scikit-learn's digits as uint8 images (n, 8, 8, 1): train and held-out."""
    from sklearn.datasets import load_digits

    x = (load_digits().images * (255 / 16)).astype(np.uint8)[..., None]
    return x[:300], x[300:600]


@pytest.fixture
def monitor(digits):
    return el.Monitor(
        train=digits[0], reference=digits[1], values=(-1, 1), every=EVERY, budget=None, n_samples=N
    )


def batches(digits, batch):
    """Return a loader of float images (batch, 1, 8, 8) in [-1, 1]."""
    x = torch.from_numpy(digits[0]).permute(0, 3, 1, 2).float() / 127.5 - 1
    return torch.utils.data.DataLoader(
        x, batch_size=batch, shuffle=True, generator=torch.Generator().manual_seed(0)
    )


class Noise(torch.nn.Module):
    """A small network that predicts the noise in flattened digits, with dropout."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(65, 64), torch.nn.SiLU(), torch.nn.Dropout(0.1), torch.nn.Linear(64, 64)
        )

    def forward(self, x, t):
        return self.layers(torch.cat([x.flatten(1), t[:, None]], dim=1)).view_as(x)

    def loss(self, x):
        t, noise = torch.rand(len(x), device=x.device), torch.randn_like(x)
        mixed = torch.cos(t * math.pi / 2).view(-1, 1, 1, 1) * x
        mixed = mixed + torch.sin(t * math.pi / 2).view(-1, 1, 1, 1) * noise
        return torch.nn.functional.mse_loss(self(mixed, t), noise)

    def sampled(self, n):
        x = torch.randn(n, 1, 8, 8)
        for t in torch.linspace(1, 0.1, 10):
            a, b = torch.cos(t * math.pi / 2), torch.sin(t * math.pi / 2)
            clean = ((x - b * self(x, t.expand(n))) / a.clamp(min=0.05)).clamp(-1, 1)
            x = a * clean + b * torch.randn_like(x)
        return clean


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def check(monitor, steps):
    """The history has an update at every interval, each with figures of its own samples."""
    assert [u.step for u in monitor.history] == list(range(EVERY, steps + 1, EVERY))
    scores = [u.found["generalization_score"].value for u in monitor.history]
    assert len(set(scores)) == len(scores)
    assert np.isfinite(monitor.to_pandas()["frechet_distance"]).all()
    assert monitor.status.held_out["frechet_distance"].value > 0


# diffusers and accelerate


def train_unet(digits, monitor, steps, folder):
    """Train a tiny U-Net as the examples of diffusers do; return its weights and its callback."""
    from accelerate import Accelerator
    from accelerate.utils import set_seed
    from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel

    set_seed(0)
    accelerator = Accelerator(cpu=True, log_with="tensorboard", project_dir=folder)
    accelerator.init_trackers("unet")
    unet = UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, block_out_channels=(8, 8),
        norm_num_groups=4, layers_per_block=1, dropout=0.1,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    scheduler = DDIMScheduler(num_train_timesteps=100)
    unet, optimizer, loader = accelerator.prepare(
        unet, torch.optim.AdamW(unet.parameters(), 1e-3), batches(digits, 32)
    )

    def sample(model, n):
        pipeline = DDIMPipeline(model, scheduler)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline(batch_size=n, num_inference_steps=4, output_type="np").images * 2 - 1

    look = el.accelerate_callback(monitor, accelerator, sample) if monitor else None
    step = 0
    while step < steps:
        for x in loader:
            noise, t = torch.randn_like(x), torch.randint(0, 100, (len(x),))
            predicted = unet(scheduler.add_noise(x, noise, t), t).sample
            accelerator.backward(torch.nn.functional.mse_loss(predicted, noise))
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            if look is not None:
                look(unet, step)
            if step == steps:
                break
    accelerator.end_training()
    return weights(accelerator.unwrap_model(unet))


def test_an_accelerate_loop_is_monitored_logged_and_trains_to_the_same_weights(
    digits, monitor, tmp_path
):
    pytest.importorskip("tensorboard")
    watched = train_unet(digits, monitor, 12, tmp_path / "watched")
    check(monitor, 12)
    assert torch.equal(watched, train_unet(digits, None, 12, tmp_path / "alone"))

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(tmp_path / "watched" / "unet"))
    read.Reload()
    events = read.Scalars("monitor/frechet_distance")
    assert [event.step for event in events] == [4, 8, 12]
    expected = monitor.to_pandas()["frechet_distance"].to_numpy(np.float32)
    assert np.array_equal(np.array([e.value for e in events], dtype=np.float32), expected)


# Lightning


@pytest.mark.filterwarnings("ignore")  # Lightning's own, about workers and devices
def test_lightning_calls_back_logs_and_trains_to_the_same_weights(digits, monitor, tmp_path):
    lightning = pytest.importorskip("lightning")
    from lightning.pytorch.loggers import CSVLogger

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = Noise()

        def training_step(self, batch, _):
            return self.network.loss(batch)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), 1e-3)

    def train(callbacks, folder):
        lightning.seed_everything(0, verbose=False)
        module = Module()
        lightning.Trainer(
            max_steps=12, accelerator="cpu", callbacks=callbacks, logger=CSVLogger(folder),
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        ).fit(module, batches(digits, 32))  # fmt: skip
        return weights(module)

    callback = el.lightning_callback(monitor, lambda module, n: module.network.sampled(n))
    watched = train([callback], tmp_path / "watched")
    check(monitor, 12)
    assert torch.equal(watched, train([], tmp_path / "alone"))
    logged = next((tmp_path / "watched").rglob("metrics.csv")).read_text()
    assert "monitor/generalization_score_held_out" in logged.splitlines()[0]


# transformers


class ForTrainer(Noise):
    """The network in the form that transformers' Trainer takes: a loss in a dict."""

    def forward(self, x, t=None):
        return {"loss": self.loss(x)} if t is None else super().forward(x, t)


@pytest.mark.filterwarnings("ignore")  # the Trainer's own
def test_transformers_trainer_calls_back_and_trains_to_the_same_weights(digits, monitor, tmp_path):
    transformers = pytest.importorskip("transformers")
    rows = [{"x": x} for x in batches(digits, 1).dataset]

    def train(callbacks, folder):
        torch.manual_seed(0)
        trainer = transformers.Trainer(
            model=ForTrainer(),
            args=transformers.TrainingArguments(
                folder, max_steps=12, per_device_train_batch_size=32, use_cpu=True, report_to=[],
                disable_tqdm=True, save_strategy="no", logging_strategy="no",
            ),
            train_dataset=rows,
            callbacks=callbacks,
        )  # fmt: skip
        trainer.train()
        return weights(trainer.model), trainer.state.log_history

    callback = el.trainer_callback(monitor, lambda model, n: model.sampled(n))
    watched, log = train([callback], tmp_path / "watched")
    check(monitor, 12)
    assert torch.equal(watched, train([], tmp_path / "alone")[0])
    logged = [entry for entry in log if "monitor/generalization_score" in entry]
    assert [entry["step"] for entry in logged] == [4, 8, 12]


# What all share


def test_sampling_leaves_modes_and_all_random_states_as_they_were():
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.BatchNorm1d(2))
    model[1].eval()  # frozen, within a model in training
    before = (random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state())
    drawn = []
    for _ in range(2):
        with undisturbed(model, 7):
            assert not any(module.training for module in model.modules())
            assert not torch.is_grad_enabled()
            drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]
    assert [module.training for module in model.modules()] == [True, True, False]
    assert random.getstate() == before[0]
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert torch.equal(torch.get_rng_state(), before[2])


def test_a_sampler_that_fails_is_told_and_tried_again_an_interval_later(monitor, digits):
    calls = []

    def sample(model, n):
        calls.append(n)
        if len(calls) == 1:
            raise RuntimeError("out of\nmemory")
        return np.full((n, 8, 8, 1), np.nan) if len(calls) == 2 else digits[1][:n]

    model = torch.nn.Identity()
    for step in range(1, 13):
        if step in (4, 8):
            message = "no update at step 4: RuntimeError: out of memory" if step == 4 else "NaN"
            with pytest.warns(UserWarning, match=message):
                assert watch(monitor, model, sample, step) is None
        else:
            watch(monitor, model, sample, step)
    assert calls == [N] * 3
    assert [u.step for u in monitor.history] == [12]


@pytest.mark.parametrize(
    ("library", "make", "extra"),
    [
        ("lightning", lambda m: el.lightning_callback(m, None), "lightning"),
        ("transformers", lambda m: el.trainer_callback(m, None), "trainer"),
    ],
)
def test_a_missing_library_is_one_line_with_the_extra(library, make, extra, monitor, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(el.InputError, match=rf"entroloop\[{extra}\]"):
        make(monitor)
