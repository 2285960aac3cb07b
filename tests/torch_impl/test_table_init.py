"""Initial tables: against closed forms, finite differences, and the NumPy twin."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from reference import (
    annex_k_tables,
    mean_absolute_coefficients,
    sensitivity_from_gradients,
    tables_from_coefficients,
    tables_from_sensitivity,
)
from reference.standard import DCT_MATRIX, YCBCR_TO_RGB
from tests.torch_impl import _table_init_worker
from torch_impl import (
    CoefficientMeans,
    JPEGLayer,
    Sensitivity,
    TableClampWarning,
    measure_coefficients,
    measure_sensitivity,
    standard_tables,
    unit_tables,
)

NAMES = ("S_Y", "S_Cb", "S_Cr")


def batch_of(count, size=(16, 16), classes=5, dtype=torch.float64):
    make = torch.Generator().manual_seed(count)
    images = torch.rand(count, 3, *size, generator=make, dtype=torch.float64) * 255
    return images.to(dtype), torch.randint(0, classes, (count,), generator=make)


def smooth_network(dtype=torch.float64):
    torch.manual_seed(1)
    layers = nn.Conv2d(3, 6, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 5)
    return nn.Sequential(*layers).to(dtype)


def normalized_network():
    """With batch normalization, dropout, and one frozen part."""
    torch.manual_seed(2)
    network = nn.Sequential(
        nn.BatchNorm2d(3),
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(16, 5),
    ).double()
    network[2].eval()
    return network


def stacked(s):
    return torch.stack([s.S_Y, s.S_Cb, s.S_Cr]).numpy()


# Sensitivity


@pytest.mark.parametrize("size", [(8, 8), (16, 24), (11, 13)])
def test_sensitivity_of_a_linear_network_is_known(size):
    images, labels = batch_of(6, size)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * size[0] * size[1], 5)).double()
    with torch.no_grad():
        network[1].weight /= 50  # logits of a few units
        excess = network(images).softmax(1) - functional.one_hot(labels, 5)
    # d cross-entropy / d image = (softmax - one-hot) W, image by image.
    gradient = (excess @ network[1].weight.detach()).reshape(images.shape)
    expected = sensitivity_from_gradients(gradient.numpy())
    got = measure_sensitivity(network, [(images, labels)])
    # float64 sums of some hundred terms.
    np.testing.assert_allclose(stacked(got), expected, rtol=1e-11)
    assert got.images == 6
    assert all(getattr(got, name).dtype == torch.float64 for name in NAMES)


def test_sensitivity_is_that_of_finite_differences():
    images, labels = batch_of(2, (8, 16))
    network = smooth_network()
    # One image moved along every coefficient: component, block, frequency.
    waves = torch.from_numpy(np.einsum("ux,vy->uvxy", DCT_MATRIX, DCT_MATRIX)).reshape(64, 1, 8, 8)
    colour = torch.from_numpy(YCBCR_TO_RGB.T.copy())[:, None, :, None, None]  # (3, 1, 3, 1, 1)
    rgb = waves * colour  # (3, 64, 3, 8, 8)
    step = 1e-3
    s = torch.zeros(3, 64, dtype=torch.float64)
    for image, label in zip(images, labels, strict=True):
        for left in (0, 8):
            move = torch.zeros(192, 3, 8, 16, dtype=torch.float64)
            move[..., left : left + 8] = rgb.reshape(192, 3, 8, 8)
            with torch.no_grad():
                up, down = (
                    functional.cross_entropy(
                        network(image + sign * step * move), label.expand(192), reduction="none"
                    )
                    for sign in (1, -1)
                )
            s += ((up - down) / (2 * step)).reshape(3, 64) ** 2 / 2
    got = stacked(measure_sensitivity(network, [(images, labels)]))
    # Central difference: 1e-6 times a third derivative, and 1e-16 / 1e-3 of rounding, against
    # gradients of about 1e-3.
    np.testing.assert_allclose(got.reshape(3, 64), s, rtol=1e-5, atol=1e-12)
    assert got.max() > 1e-6


def test_parseval():
    # The sum over frequencies is the squared gradient with respect to the YCbCr pixels.
    images, labels = batch_of(3, (16, 8))
    network = smooth_network()
    leaf = images.clone().requires_grad_()
    functional.cross_entropy(network(leaf), labels, reduction="sum").backward()
    ycbcr = torch.einsum("ij,nihw->njhw", torch.from_numpy(YCBCR_TO_RGB.copy()), leaf.grad)
    expected = ycbcr.square().sum(dim=(2, 3)).mean(dim=0)
    got = stacked(measure_sensitivity(network, [(images, labels)])).sum(axis=(1, 2))
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_batches_of_any_size_give_the_same(dtype):
    images, labels = batch_of(23, dtype=dtype)
    network = smooth_network(dtype)
    # float64: the order of sums. float32: a convolution may sum in another order in each batch.
    rtol = 1e-12 if dtype == torch.float64 else 1e-4
    whole = measure_sensitivity(network, [(images, labels)])
    means = measure_coefficients([(images, labels)])
    for size in (1, 7):
        loader = DataLoader(TensorDataset(images, labels), batch_size=size)
        np.testing.assert_allclose(
            stacked(measure_sensitivity(network, loader)), stacked(whole), rtol=rtol
        )
        other = measure_coefficients(loader)
        # Pixels are the same numbers: float64 throughout.
        assert torch.allclose(other.Y, means.Y, rtol=1e-12)
    assert whole.images == means.images == 23


def test_labels_are_those_of_the_loader():
    images, labels = batch_of(6)
    network = smooth_network()
    a = stacked(measure_sensitivity(network, [(images, labels)]))
    b = stacked(measure_sensitivity(network, [(images, (labels + 1) % 5)]))
    assert not np.allclose(a, b, rtol=0.1)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(training):
    images, labels = batch_of(6)
    network = normalized_network()
    network[1].weight.grad = torch.ones_like(network[1].weight)
    # Entries out of range, which a JPEG layer in training mode would move back.
    layer = JPEGLayer()
    with torch.no_grad():
        layer.q[0, 0, 0] = 400.0
    model = nn.Sequential(layer, network).double()
    before = {name: t.detach().clone() for name, t in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    assert len(set(modes)) == 2
    needs = [p.requires_grad for p in model.parameters()]

    def check():
        assert [m.training for m in model.modules()] == modes
        assert [p.requires_grad for p in model.parameters()] == needs
        assert all(isinstance(p, nn.Parameter) for p in model.parameters())
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, before[name]), name
        grads = [name for name, p in model.named_parameters() if p.grad is not None]
        assert grads == ["1.1.weight"]
        assert torch.equal(network[1].weight.grad, torch.ones_like(network[1].weight))

    if training:
        with pytest.warns(TableClampWarning):
            measure_sensitivity(model, [(images, labels)], training=training)
    else:
        measure_sensitivity(model, [(images, labels)], training=training)
    check()
    with pytest.raises(ValueError, match="labels must lie in"):
        measure_sensitivity(model.eval().train(), [(images, labels + 5)], training=False)
    assert all(m.training for m in model.modules())


def test_the_mode_is_the_callers_choice():
    images, labels = batch_of(8)
    network = nn.Sequential(*list(normalized_network())[:6], nn.Linear(16, 5)).double()
    with torch.no_grad():
        network[0].running_mean.fill_(100)
        network[0].running_var.fill_(1e4)
    batches = [(images, labels)]
    training, evaluation = (
        stacked(measure_sensitivity(network, batches, training=mode)) for mode in (True, False)
    )
    assert not np.allclose(training, evaluation, rtol=0.1)
    # The default is the paper's authors': training.
    np.testing.assert_allclose(stacked(measure_sensitivity(network.eval(), batches)), training)
    # In training mode the whole batch decides: a twin by plain autograd.
    leaf = images.clone().requires_grad_()
    functional.cross_entropy(network.train()(leaf), labels, reduction="sum").backward()
    np.testing.assert_allclose(training, sensitivity_from_gradients(leaf.grad.numpy()), rtol=1e-9)


def test_a_network_without_parameters_and_under_no_grad():
    images, labels = batch_of(4, (8, 8))
    network = nn.Sequential(nn.AvgPool2d(4), nn.Flatten())
    with torch.no_grad():
        got = measure_sensitivity(network, [(images, labels)])
    assert got.S_Y[0, 0] > 0


def test_float32_network_takes_float64_images():
    images, labels = batch_of(4)
    narrow = measure_sensitivity(smooth_network(torch.float32), [(images, labels)])
    wide = measure_sensitivity(smooth_network(torch.float32).double(), [(images, labels)])
    np.testing.assert_allclose(stacked(narrow), stacked(wide), rtol=1e-3)  # 1e-7 conditioned


@pytest.mark.gpu
def test_sensitivity_on_a_gpu():
    images, labels = batch_of(9, (13, 16))
    network = smooth_network()
    expected = stacked(measure_sensitivity(network, [(images, labels)]))
    got = measure_sensitivity(network.cuda(), [(images, labels)])
    np.testing.assert_allclose(stacked(got), expected, rtol=1e-9)  # float64 sums in another order
    means = measure_coefficients([images.cuda()])
    np.testing.assert_allclose(means.Y, measure_coefficients([images]).Y, rtol=1e-12)


# Loaders


class Endless(IterableDataset):
    def __iter__(self):
        images, labels = batch_of(5)
        while True:
            yield from zip(images, labels, strict=True)


@pytest.mark.parametrize("size", [1, 4, 6, 50])
def test_exactly_as_many_images_as_asked_for(size):
    images, labels = batch_of(10)
    network = smooth_network()
    expected = stacked(measure_sensitivity(network, [(images[:6], labels[:6])]))
    loader = DataLoader(TensorDataset(images, labels), batch_size=size)
    got = measure_sensitivity(network, loader, max_images=6)
    assert got.images == 6
    np.testing.assert_allclose(stacked(got), expected, rtol=1e-12)
    assert measure_coefficients(loader, max_images=6).images == 6


def test_a_loader_without_end():
    loader = DataLoader(Endless(), batch_size=4)
    assert measure_sensitivity(smooth_network(), loader, max_images=7).images == 7


def test_an_iterator_is_not_read_further_than_needed():
    images, labels = batch_of(4)
    read = []

    def batches():
        for i in range(4):
            read.append(i)
            yield [images[i : i + 1], labels[i : i + 1]]

    measure_sensitivity(smooth_network(), batches(), max_images=2)
    assert read == [0, 1]


def test_progress_is_told_after_each_batch():
    images, labels = batch_of(10)
    told = []
    loader = DataLoader(TensorDataset(images, labels), batch_size=4)
    measure_sensitivity(
        smooth_network(), loader, max_images=9, progress=lambda *news: told.append(news)
    )
    assert told == [(4, 9), (8, 9), (9, 9)]
    told.clear()
    measure_coefficients(loader, progress=lambda *news: told.append(news))
    assert told == [(4, 10), (8, 10), (10, 10)]
    told.clear()
    measure_coefficients([images], progress=lambda *news: told.append(news))
    assert told == [(10, None)]


def test_progress_bar(capsys):
    measure_coefficients([batch_of(3)[0]], max_images=2, progress=True)
    assert "images" in capsys.readouterr().out
    measure_coefficients([batch_of(3)[0]])
    assert capsys.readouterr().out == ""


# Mean absolute coefficients


def test_coefficient_means_are_the_twins():
    images, _ = batch_of(5, (11, 13))
    got = measure_coefficients([images[:2], (images[2:], None)])
    expected = mean_absolute_coefficients(images.numpy())
    np.testing.assert_allclose(torch.stack([got.Y, got.Cb, got.Cr]), expected, rtol=1e-11)
    np.testing.assert_allclose(
        got.tables(bits=8), tables_from_coefficients(expected, bits=8), rtol=1e-6
    )
    np.testing.assert_allclose(got.tables(), tables_from_coefficients(expected, bits=11), rtol=1e-6)


def test_images_of_other_sizes_count_by_their_blocks():
    a, b = batch_of(1, (8, 8))[0], batch_of(2, (16, 24))[0][:1]
    got = measure_coefficients([a, b])
    pieces = [
        x[None] for x in (a[0], *b[0].unfold(1, 8, 8).unfold(2, 8, 8).flatten(1, 2).unbind(1))
    ]
    np.testing.assert_allclose(got.Y, measure_coefficients(pieces).Y, rtol=1e-12)
    assert got.images == 2


# Tables


def test_tables_from_sensitivity_are_the_twins():
    s = np.random.default_rng(0).uniform(0.1, 3, (3, 8, 8))
    got = Sensitivity(*(torch.from_numpy(x) for x in s)).tables(q_max=7.5)
    np.testing.assert_allclose(got, tables_from_sensitivity(s, q_max=7.5), rtol=1e-6)  # float32
    assert got.dtype == torch.float32
    assert got.shape == (2, 8, 8)
    assert float(got[0].max()) == 7.5
    default = Sensitivity(*(torch.from_numpy(x) for x in s)).tables()
    assert float(default[0].max()) == 10
    assert JPEGLayer(default).q.shape == (2, 8, 8)


def test_tables_stay_in_the_range_of_a_layer():
    s = torch.ones(3, 8, 8, dtype=torch.float64)
    s[0, 0, 0], s[1:, 0, 1] = 1e7, 1e-3
    tables = Sensitivity(*s).tables(q_max=10)
    assert float(tables[0, 0, 0]) == pytest.approx(1e-5)
    assert float(tables[1, 0, 1]) == 255
    JPEGLayer(tables)
    means = torch.full((3, 8, 8), 5000.0)
    assert float(CoefficientMeans(*means).tables(bits=2).max()) == 255


def test_ready_made_tables():
    assert torch.equal(unit_tables(), torch.ones(2, 8, 8))
    np.testing.assert_array_equal(standard_tables(37), annex_k_tables(37))
    assert standard_tables(37).dtype == torch.float32
    with pytest.raises(ValueError, match="quality must lie in"):
        standard_tables(0)


# Two processes


def run_workers(tmp_path: Path, fail: bool):
    init, out = (tmp_path / "init").as_uri(), tmp_path / "result"
    command = [sys.executable, _table_init_worker.__file__]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "USE_LIBUV": "0"}
    workers = [
        subprocess.Popen(
            [*command, str(rank), "2", init, str(out), str(int(fail))],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        for worker in workers:
            _, errors = worker.communicate(timeout=120)
            assert worker.returncode == 0, errors
    finally:
        for worker in workers:
            worker.kill()
    return [torch.load(f"{out}.{rank}", weights_only=True) for rank in (0, 1)]


def test_two_processes_measure_what_one_does(tmp_path):
    first, second = run_workers(tmp_path, fail=False)
    one = _table_init_worker.measure(_table_init_worker.network(), [_table_init_worker.data()])
    assert one["images"].tolist() == [9, 11]
    for name, expected in one.items():
        assert torch.equal(first[name], second[name])
        # float64 sums in another order.
        np.testing.assert_allclose(first[name], expected, rtol=1e-11)


def test_when_one_process_fails_no_other_waits(tmp_path):
    first, second = run_workers(tmp_path, fail=True)
    assert first.startswith("RuntimeError: another process failed")
    assert second.startswith("ValueError: images must lie in [0, 255]")
