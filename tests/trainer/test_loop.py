"""One run: its steps against hand-written ones, its errors, its schedules."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from torch_impl import JPEGLayer
from trainer import (
    DataError,
    DivergenceError,
    RunFolderError,
    TrainConfig,
    TrainerError,
    loop,
    train,
    training_run,
)
from trainer._randomness import derive_seed, generator
from trainer.batches import VAL_BATCH
from trainer.checkpoint import CHECKPOINT_FILE, load_checkpoint
from trainer.data import ImageData
from trainer.evaluation import evaluate
from trainer.networks import ImageClassifier, SmallCNN, build_model
from trainer.optimizers import schedule_factor


def _fresh_model(config: TrainConfig, data: ImageData) -> ImageClassifier:
    torch.manual_seed(derive_seed(config.seed, "weights"))
    mean, std = data.channel_statistics
    return build_model(config, classes=len(data.classes), mean=mean, std=std)


def test_the_jpeg_layer_sees_pixels_and_the_network_normalized_ones(data: ImageData) -> None:
    mean, std = data.channel_statistics
    layer = JPEGLayer(7.0, 5.0, max_level=1023)
    model = ImageClassifier(torch.nn.Identity(), mean, std, layer)
    image = data.val_images.float()
    expected = (layer(image) - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(model(image), expected, rtol=0, atol=0)
    bare = ImageClassifier(torch.nn.Identity(), mean, std)(image)
    torch.testing.assert_close(
        bare, (image - mean[:, None, None]) / std[:, None, None], rtol=0, atol=0
    )
    assert not torch.allclose(bare, expected, atol=1e-3)


def test_both_methods_start_from_the_same_network(config: TrainConfig, data: ImageData) -> None:
    with_layer = _fresh_model(config, data)
    without = _fresh_model(dataclasses.replace(config, method="baseline"), data)
    assert without.jpeg is None
    for (name, one), other in zip(
        with_layer.network.state_dict().items(), without.network.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name


def test_options_reach_the_layer(config: TrainConfig, data: ImageData) -> None:
    options = {"q_initial": 3.0, "window": 5, "subsampling": "4:2:0", "max_level": 40}
    layer = _fresh_model(dataclasses.replace(config, **options, alpha=2.0), data).jpeg
    assert layer is not None
    assert layer.q.unique().tolist() == [3.0]
    assert layer.alpha.unique().tolist() == [2.0]
    assert (layer.window, layer.subsampling, layer.max_level) == (5, "4:2:0", 40)
    matched = _fresh_model(dataclasses.replace(config, **options, hbar=0.72), data).jpeg
    assert matched is not None
    assert matched.hbar == 0.72


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (32, 32)])
def test_the_network_takes_any_size(size: tuple[int, int]) -> None:
    logits = SmallCNN(7, width=2)(torch.randn(2, 3, *size))
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()


def test_the_first_step_is_sgd_for_the_network_and_adam_for_q(
    config: TrainConfig, data: ImageData, tmp_path: Path
) -> None:
    config = dataclasses.replace(config, epochs=1, batch_size=24)  # one step in all
    train(config, tmp_path, data=data)
    after = load_checkpoint(tmp_path / CHECKPOINT_FILE).tensors

    model = _fresh_model(config, data)
    order = torch.randperm(24, generator=generator(config.seed, "order", 1))
    image = data.train_batch(order, seed=config.seed, step=0, augment=True).float()
    functional.cross_entropy(model(image), data.train_labels[order]).backward()
    for name, weight in model.network.named_parameters():
        assert weight.grad is not None
        decayed = weight.grad + config.weight_decay * weight
        expected = (weight - config.learning_rate * decayed).detach()
        # A few roundings; the batch is summed by one thread here and there.
        torch.testing.assert_close(
            after[f"model.network.{name}"], expected, rtol=1e-5, atol=1e-7, msg=name
        )
    assert model.jpeg is not None
    gradient = model.jpeg.q.grad
    assert gradient is not None
    assert (gradient != 0).all()
    # Adam's first step: learning rate times g / (|g| + 1e-8).
    expected_q = 1.0 - config.q_learning_rate * gradient / (gradient.abs() + 1e-8)
    torch.testing.assert_close(after["model.jpeg.q"], expected_q, rtol=0, atol=2e-7)


def test_a_rate_of_zero_keeps_the_tables(
    config: TrainConfig, data: ImageData, tmp_path: Path
) -> None:
    result = train(dataclasses.replace(config, q_learning_rate=0.0), tmp_path, data=data)
    assert result.q_tables is not None
    assert (result.q_tables == 1.0).all()
    moved = train(config, tmp_path / "moved", data=data).q_tables
    assert moved is not None
    assert (moved != 1.0).all()


def test_the_network_learns(config: TrainConfig, data: ImageData, tmp_path: Path) -> None:
    history = train(dataclasses.replace(config, epochs=12), tmp_path, data=data).history
    assert history[-1].train_loss < 0.7 * history[0].train_loss
    assert history[-1].val_accuracy > 0.6  # chance is 1/3


def test_metrics_describe_the_model_that_was_saved(
    config: TrainConfig, data: ImageData, tmp_path: Path
) -> None:
    result = train(config, tmp_path, data=data)
    tensors = load_checkpoint(tmp_path / CHECKPOINT_FILE).tensors
    model = _fresh_model(config, data)
    model.load_state_dict({n[6:]: t for n, t in tensors.items() if n.startswith("model.")})
    model.eval()
    logits = model(data.val_images.float())
    last = result.history[-1]
    assert last.val_accuracy == (logits.argmax(1) == data.val_labels).sum().item() / 15
    # Summed in another order: a few float32 roundings of a loss near 1.
    assert last.val_loss == pytest.approx(
        functional.cross_entropy(logits, data.val_labels).item(), rel=1e-5
    )
    assert result.q_tables is not None
    assert last.q_min == result.q_tables.min().item()
    assert last.q_max == result.q_tables.max().item()
    assert [metrics.step for metrics in result.history] == [3, 6, 9]


def test_evaluation_counts_every_image_once(data: ImageData) -> None:
    count = 2 * VAL_BATCH + 3  # two full batches and a rest
    many = dataclasses.replace(
        data,
        val_images=torch.zeros(count, 3, 8, 8, dtype=torch.uint8),
        val_labels=torch.arange(count) % 3,
    )

    class AlwaysRed(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.tensor([0.0, 0.0, 1.0]).expand(len(image), 3)

    model = ImageClassifier(AlwaysRed(), torch.zeros(3), torch.ones(3))
    loss, accuracy = evaluate(model, many)
    red = (many.val_labels == 2).double().mean().item()
    assert accuracy == red
    # log(2 + e) - [label is red]; 515 float32 terms of about 1.
    assert loss == pytest.approx(math.log(2 + math.e) - red, rel=1e-6)


def test_the_cosine_schedule_goes_from_one_to_zero() -> None:
    config = TrainConfig(epochs=4)
    factors = [schedule_factor(config, step, 5) for step in range(21)]
    assert factors[0] == 1.0
    assert factors[10] == pytest.approx(0.5, abs=1e-15)
    assert factors[20] == pytest.approx(0.0, abs=1e-15)
    assert factors == sorted(factors, reverse=True)


def test_the_step_schedule_decays_when_its_epochs_begin() -> None:
    config = TrainConfig(epochs=6, schedule="step", milestones=(2, 4), decay=0.5)
    factors = [schedule_factor(config, step, 3) for step in range(18)]
    assert factors == [1.0] * 6 + [0.5] * 6 + [0.25] * 6


@pytest.mark.parametrize("follows", [True, False])
def test_the_rate_of_q_follows_the_schedule_if_told_so(
    follows: bool, config: TrainConfig, data: ImageData, tmp_path: Path
) -> None:
    config = dataclasses.replace(
        config, schedule="step", milestones=(1,), decay=0.1, q_follows_schedule=follows
    )
    history = train(config, tmp_path, data=data).history
    assert [m.learning_rate for m in history] == pytest.approx([0.05, 0.005, 0.005], rel=1e-12)
    later = 0.0003 if follows else 0.003
    assert [m.q_learning_rate for m in history] == pytest.approx([0.003, later, later], rel=1e-12)


def test_global_torch_settings_are_given_back(
    config: TrainConfig, data: ImageData, tmp_path: Path
) -> None:
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.manual_seed(5)
    state = torch.get_rng_state()
    train(dataclasses.replace(config, threads=threads + 1), tmp_path, data=data)
    assert torch.get_num_threads() == threads
    assert torch.are_deterministic_algorithms_enabled() == strict
    assert torch.equal(torch.get_rng_state(), state)


def test_a_diverging_loss_stops_the_run_with_nothing_saved(
    config: TrainConfig, data: ImageData, tmp_path: Path
) -> None:
    config = dataclasses.replace(config, method="baseline", learning_rate=1e30)
    with pytest.raises(
        DivergenceError,
        match=r"diverged at step \d+: the loss is (nan|inf).*Lower learning_rate.*no checkpoint",
    ):
        train(config, tmp_path, data=data)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".lock", "config.json"]


@pytest.mark.parametrize("method", ["baseline", "jpeg-dl"])
@pytest.mark.parametrize("when", [3, 4, 5], ids=["first step", "middle step", "last step"])
def test_divergence_keeps_the_checkpoint_of_the_epoch_before(
    method: str,
    when: int,
    config: TrainConfig,
    data: ImageData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def explode(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
        return math.inf if step == when else 1.0

    monkeypatch.setattr(training_run, "schedule_factor", explode)
    config = dataclasses.replace(config, method=method)
    with pytest.raises(
        DivergenceError, match=r"diverged.*after step 3, was kept in .*checkpoint\.safetensors"
    ):
        train(config, tmp_path, data=data)
    kept = load_checkpoint(tmp_path / CHECKPOINT_FILE)
    assert len(kept.progress["history"]) == 1
    assert (tmp_path / "metrics.csv").read_text().count("\n") == 2


def test_a_gradient_of_q_that_is_not_finite_stops_the_run(
    config: TrainConfig, data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*args: object, **kwargs: object) -> ImageClassifier:
        model = build_model(*args, **kwargs)  # type: ignore[arg-type]
        assert model.jpeg is not None
        model.jpeg.q.register_hook(lambda gradient: gradient * math.nan)
        return model

    monkeypatch.setattr(training_run, "build_model", build)
    with pytest.raises(DivergenceError, match="step 1: a quantization step became NaN"):
        train(config, tmp_path, data=data)


def test_tables_that_leave_their_range_are_saved_within_it(
    config: TrainConfig, data: ImageData, tmp_path: Path
) -> None:
    from torch_impl import TableClampWarning

    config = dataclasses.replace(config, q_learning_rate=2.0, epochs=2, window=5, max_level=15)
    with pytest.warns(TableClampWarning):
        train(config, tmp_path, data=data)
    tables = load_checkpoint(tmp_path / CHECKPOINT_FILE).tensors["model.jpeg.q"]
    assert tables.min().item() == pytest.approx(1e-5)
    assert tables.max().item() <= 255.0


def test_an_unwritable_folder_is_reported_before_any_data_is_read(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_yet(_: TrainConfig) -> ImageData:
        raise AssertionError("data were read")

    monkeypatch.setattr(loop, "load_data", not_yet)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match=r"cannot be written.*--run-dir"):
        train(config, tmp_path / "file" / "run")


def test_a_run_that_cannot_begin_leaves_no_claim_on_its_folder(
    config: TrainConfig, image_folder: Path, tmp_path: Path
) -> None:
    mistyped = dataclasses.replace(config, dataset="folder", data=str(image_folder) + "x")
    with pytest.raises(DataError, match="imagesx does not exist"):
        train(mistyped, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert train(
        dataclasses.replace(config, dataset="folder", data=str(image_folder)), tmp_path
    ).finished


def test_too_few_images_for_a_batch_is_an_error(
    config: TrainConfig, data: ImageData, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"24 training images do not fill one batch of 25"):
        train(dataclasses.replace(config, batch_size=25), tmp_path, data=data)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_missing_device_is_an_error(config: TrainConfig, data: ImageData, tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="no CUDA device; use device=cpu"):
        train(dataclasses.replace(config, device="cuda"), tmp_path, data=data)
