"""The torch JPEG layer as a module that trains: clamping, state, memory, compilation, DDP."""

from __future__ import annotations

import copy
import io
import math
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from reference.jpeg_layer import jpeg_layer, jpeg_layer_vjp
from tests.torch_impl import _ddp_worker
from torch_impl import JPEGLayer, TableClampWarning
from torch_impl.jpeg_layer import ALPHA_MIN, Q_MAX, Q_MIN

SEED = torch.Generator().manual_seed(0)
IMAGE = torch.rand(2, 3, 11, 13, generator=SEED) * 255
OPTIONS = [
    {},
    {"window": 5, "max_level": 1023},
    {"subsampling": "4:2:0", "trainable_alpha": True},
    {"hbar": 0.7, "subsampling": "4:2:2"},
    {"rounds": 2, "trainable_alpha": True, "window": 3},
]


def make(options, q_seed=1) -> JPEGLayer:
    rounds = options.get("rounds", 1)
    shape = (2, 8, 8) if rounds == 1 else (rounds, 2, 8, 8)
    q = np.random.default_rng(q_seed).uniform(1, 9, shape)
    return JPEGLayer(torch.from_numpy(q).float(), **options)


def set_entries(table: Tensor, *values: float) -> None:
    """Overwrite the first entries, as a step of an optimizer would."""
    with torch.no_grad():
        table.view(-1)[: len(values)] = torch.tensor(values, dtype=table.dtype)


def gradients(layer: JPEGLayer, image: Tensor = IMAGE) -> list[Tensor]:
    leaf = image.clone().requires_grad_()
    loss = layer(leaf).sin().sum()
    return list(torch.autograd.grad(loss, [leaf, *layer.parameters()]))


def assert_all_equal(got, want) -> None:
    for a, b in zip(got, want, strict=True):
        assert torch.equal(a, b)


# The clamping rule

OUTSIDE = (-1.0, 0.0, 1e-6, 300.0, 1e6, -300.0)
INSIDE = (1e-5, 1e-5, 1e-5, 255.0, 255.0, 1e-5)
UNTOUCHED = (1e-5, 255.0, 0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rounds", [1, 2])
def test_training_moves_q_back_into_its_range_and_says_so(dtype, rounds):
    layer = JPEGLayer(torch.full((2, 8, 8), 3.0, dtype=dtype), rounds=rounds)
    set_entries(layer.q, *OUTSIDE, *UNTOUCHED)
    address = layer.q.data_ptr()
    with pytest.warns(TableClampWarning, match=rf"6 of {rounds * 128} entries of q") as caught:
        layer(IMAGE.to(dtype))
    assert len(caught) == 1
    assert caught[0].filename == __file__  # the line to look at is the caller's
    expected = torch.full_like(layer.q, 3.0)
    set_entries(expected, *INSIDE, *UNTOUCHED)
    assert torch.equal(layer.q, expected)
    assert layer.q.data_ptr() == address  # in place: optimizers keep their hold
    assert layer.clamp_count == 6
    layer(IMAGE.to(dtype))  # a second warning would be an error here
    assert layer.clamp_count == 6
    set_entries(layer.q, 0.0)
    with pytest.warns(TableClampWarning, match=r"1 of .* left \[1e-05, 255.0\]"):
        layer(IMAGE.to(dtype))
    assert layer.clamp_count == 7


def test_the_range_is_the_papers():
    assert (Q_MIN, Q_MAX) == (1e-5, 255.0)


def test_trainable_alpha_stays_positive():
    layer = JPEGLayer(3.0, trainable_alpha=True)
    set_entries(layer.alpha, -1.0, 0.0, 1e9)
    with pytest.warns(TableClampWarning, match=rf"2 of 128 .* alpha had left \[{ALPHA_MIN}, inf\]"):
        layer(IMAGE)
    assert layer.alpha.view(-1)[:4].tolist() == pytest.approx([1e-6, 1e-6, 1e9, 5.0], rel=1e-7)
    assert layer.clamp_count == 2


@pytest.mark.parametrize("mode", ["eval", "no_grad", "inference", "eval with gradients"])
@pytest.mark.parametrize("rounds", [1, 2])
def test_elsewhere_the_parameters_stay_and_clamped_values_are_used(mode, rounds):
    layer = JPEGLayer(3.0, 2.0, trainable_alpha=True, rounds=rounds)
    set_entries(layer.q, *OUTSIDE)
    set_entries(layer.alpha, 1.0, -300.0)
    clamped = copy.deepcopy(layer)
    with torch.no_grad():
        clamped.q.clamp_(Q_MIN, Q_MAX)
        clamped.alpha.clamp_(min=ALPHA_MIN)
    before = copy.deepcopy(layer.state_dict())
    layer.train("eval" not in mode)
    context = {"no_grad": torch.no_grad(), "inference": torch.inference_mode()}
    with context.get(mode, torch.enable_grad()):
        got = layer(IMAGE)
        again = layer(IMAGE)
    assert torch.equal(got, clamped(IMAGE))
    assert torch.equal(got, again)
    assert_all_equal(layer.state_dict().values(), before.values())
    assert layer.clamp_count == 0


def test_gradients_pass_through_the_clamp():
    # As if the clamped value were the parameter: an entry can find its way back.
    layer, inside = JPEGLayer(3.0).eval(), JPEGLayer(3.0).eval()
    set_entries(layer.q, *OUTSIDE)
    set_entries(inside.q, *INSIDE)
    assert_all_equal(gradients(layer), gradients(inside))


@pytest.mark.parametrize("options", OPTIONS)
def test_two_forwards_before_the_backward_of_the_first(options):
    layer = make(options)
    expected = gradients(copy.deepcopy(layer))[1:]
    first = layer(IMAGE).sin().sum()
    set_entries(layer.q, -1.0, 300.0)  # the second forward changes the tables in place
    with pytest.warns(TableClampWarning, match="2 of"):
        second = layer(IMAGE).sin().sum()
    assert_all_equal(torch.autograd.grad(first, list(layer.parameters())), expected)
    later = gradients(copy.deepcopy(layer))[1:]
    assert_all_equal(torch.autograd.grad(second, list(layer.parameters())), later)
    layer(IMAGE)
    # And both at once, as in gradient accumulation.
    both = layer(IMAGE).sin().sum() + layer(IMAGE).sin().sum()
    for got, want in zip(torch.autograd.grad(both, list(layer.parameters())), later, strict=True):
        torch.testing.assert_close(got, 2 * want, rtol=1e-6, atol=0)


def test_a_nan_in_a_table_is_an_error_not_a_picture():
    for name in ("q", "alpha"):
        layer = JPEGLayer(3.0, trainable_alpha=True)
        set_entries(getattr(layer, name), math.nan)
        for mode in (True, False):
            layer.train(mode)
            with pytest.raises(ValueError, match=f"{name} must be positive and finite, got nan"):
                layer(IMAGE)


# hbar


def test_hbar_follows_q_before_each_step():
    layer = JPEGLayer(3.0, hbar=0.7)
    assert set(dict(layer.named_parameters())) == {"q"}
    assert set(layer.state_dict()) == {"q", "alpha"}
    with torch.no_grad():
        layer.q.fill_(0.5)
    set_entries(layer.q, 0.0)
    with pytest.warns(TableClampWarning):
        out = layer(IMAGE)
    assert torch.equal(layer.alpha, 0.7 / layer.q.detach() ** 2)
    assert not layer.alpha.requires_grad
    plain = JPEGLayer(layer.q.detach(), layer.alpha)
    assert torch.equal(out, plain(IMAGE))
    # Eval leaves the buffer but uses the fresh alpha.
    layer.eval()
    with torch.no_grad():
        layer.q.fill_(2.0)
    before = layer.alpha.clone()
    assert torch.equal(layer(IMAGE), JPEGLayer(2.0, 0.7 / 4)(IMAGE))
    assert torch.equal(layer.alpha, before)


# Parameters and rounds


def test_what_is_trained():
    fixed, trained = JPEGLayer(), JPEGLayer(trainable_alpha=True)
    assert set(dict(fixed.named_parameters())) == {"q"}
    assert set(dict(trained.named_parameters())) == {"q", "alpha"}
    assert isinstance(fixed.alpha, Tensor)
    source = torch.full((2, 8, 8), 3.0)
    layer = JPEGLayer(source)
    set_entries(layer.q, 7.0)
    assert (source == 3).all()  # a copy


def test_each_round_has_its_own_tables_and_gradients():
    rng = np.random.default_rng(2)
    q = rng.uniform(2, 30, (3, 2, 8, 8))
    alpha = 5 / q**2
    image, weight = rng.uniform(0, 255, (1, 3, 16, 8)), rng.normal(size=(1, 3, 16, 8))
    layer = JPEGLayer(torch.from_numpy(q), torch.from_numpy(alpha), rounds=3, trainable_alpha=True)
    out = layer(torch.from_numpy(image))
    out.backward(torch.from_numpy(weight))
    want = jpeg_layer_vjp(image, q, alpha, weight, max_level=127)
    # float64, coefficients up to 1024 through three quantizers, each at most 2.5 times as steep.
    np.testing.assert_allclose(
        out.detach(), jpeg_layer(image, q, alpha, max_level=127), rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(layer.q.grad, want.q, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(layer.alpha.grad, want.alpha, rtol=1e-7, atol=1e-5)
    swapped = JPEGLayer(
        torch.from_numpy(q[::-1].copy()), torch.from_numpy(alpha[::-1].copy()), rounds=3
    )
    assert not torch.allclose(swapped(torch.from_numpy(image)), out, atol=1)


def test_double_tables_compute_in_double():
    image = IMAGE.double()
    layer = make({}).double()
    wide = jpeg_layer(
        image.numpy(), layer.q.detach().numpy(), layer.alpha.numpy(), max_level=127, compiled=True
    )
    np.testing.assert_allclose(layer(image).detach(), wide, rtol=0, atol=1e-10)
    # A float32 image is not narrowed to float32 inside.
    assert torch.equal(layer(image.float()), layer(image.float().double()).float())


# State


@pytest.mark.parametrize("options", OPTIONS)
def test_state_dict_round_trip(options):
    source, target = make(options), make(options, q_seed=9)
    assert not torch.equal(source(IMAGE), target(IMAGE))
    file = io.BytesIO()
    torch.save(source.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert set(state) == {"q", "alpha"}
    target.load_state_dict(state)
    assert torch.equal(source(IMAGE), target(IMAGE))
    assert_all_equal(gradients(source), gradients(target))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_copies_are_equal_and_apart(options, how):
    layer = make(options).eval()
    clone = copy.deepcopy(layer) if how == "deepcopy" else pickle.loads(pickle.dumps(layer))  # noqa: S301
    assert repr(clone) == repr(layer)
    assert clone.training == layer.training
    assert torch.equal(clone(IMAGE), layer(IMAGE))
    assert_all_equal(gradients(clone), gradients(layer))
    with torch.no_grad():
        clone.q += 1
        clone.alpha += 1
    assert not (clone.q == layer.q).any()
    assert not (clone.alpha == layer.alpha).any()


def test_train_and_eval_give_the_same():
    for options in OPTIONS:
        layer = make(options)
        training = layer(IMAGE), *gradients(layer)
        layer.eval()
        assert_all_equal((layer(IMAGE), *gradients(layer)), training)


@pytest.mark.parametrize("name", ["q", "alpha"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("trainable", [False, True])
def test_state_of_a_diverged_training_is_refused_and_nothing_is_loaded(name, bad, trainable):
    layer = torch.nn.Sequential(make({"trainable_alpha": trainable}))
    before = copy.deepcopy(layer.state_dict())
    state = {key: value + 1 for key, value in before.items()}
    state[f"0.{name}"][1, 2, 3] = bad
    with pytest.raises(RuntimeError, match=rf"0\.{name} holds NaN or infinity"):
        layer.load_state_dict(state)
    assert_all_equal(layer.state_dict().values(), before.values())


def test_state_saved_between_a_step_and_its_clamp_goes_on_as_if_it_never_stopped():
    source = make({"trainable_alpha": True})
    set_entries(source.q, *OUTSIDE)
    set_entries(source.alpha, -1.0)
    target = make({"trainable_alpha": True}, q_seed=9)
    target.load_state_dict(source.state_dict())
    assert_all_equal(target.state_dict().values(), source.state_dict().values())
    outputs = []
    for layer in (source, target):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TableClampWarning)
            outputs.append(layer(IMAGE))
    assert torch.equal(*outputs)
    assert_all_equal(target.state_dict().values(), source.state_dict().values())


def test_state_of_another_shape_is_refused():
    layer = make({})
    with pytest.raises(RuntimeError, match=r"size mismatch for q"):
        layer.load_state_dict(make({"rounds": 2}).state_dict())
    with pytest.raises(RuntimeError, match=r"Missing key.*alpha"):
        layer.load_state_dict({"q": layer.q.detach()})


def test_repr_names_the_options():
    assert repr(JPEGLayer(hbar=0.7, window=5)) == (
        "JPEGLayer(max_level=127, window=5, subsampling='4:4:4', hbar=0.7, rounds=1)"
    )
    assert "trainable_alpha=True" in repr(JPEGLayer(trainable_alpha=True))


# Memory


def saved_bytes(function) -> tuple[int, list[Tensor]]:
    saved: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        result = function()
    assert result is not None
    return sum(t.untyped_storage().nbytes() for t in saved.values()), list(saved.values())


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize("rounds", [1, 2])
def test_a_training_step_saves_one_set_of_coefficients_per_round(subsampling, rounds):
    layer = JPEGLayer(3.0, subsampling=subsampling, rounds=rounds)
    image = (torch.rand(2, 3, 32, 32) * 255).requires_grad_()
    size, tensors = saved_bytes(lambda: layer(image))
    small = sum(
        t.untyped_storage().nbytes() for t in tensors if t.untyped_storage().nbytes() < 4096
    )
    # Subsampled chroma has fewer coefficients, but average pooling keeps the planes it gets.
    coefficients = image.nbytes if subsampling == "4:4:4" else image.nbytes // 2
    pooled = 0 if subsampling == "4:4:4" else image.nbytes
    assert size - small <= rounds * coefficients + pooled
    assert small <= 16 * 1024  # tables and DCT matrices


@pytest.mark.parametrize("options", OPTIONS)
def test_nothing_is_saved_without_gradients(options):
    layer = make(options)
    for mode in (True, False):
        layer.train(mode)
        with torch.no_grad():
            assert saved_bytes(lambda: layer(IMAGE))[1] == []
            assert not layer(IMAGE).requires_grad
        with torch.inference_mode():
            assert saved_bytes(lambda: layer(IMAGE))[1] == []
    frozen = make(options).eval().requires_grad_(False)
    assert saved_bytes(lambda: frozen(IMAGE))[1] == []


# Compilation and transforms


@pytest.mark.parametrize("options", OPTIONS)
def test_compiles_to_one_graph(options):
    layer = make(options).train("window" not in options)
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager", dynamic=False)
    with torch.no_grad():
        want = layer(IMAGE)
    torch.testing.assert_close(compiled(IMAGE), want, rtol=1e-6, atol=1e-3)
    for got, want in zip(gradients(compiled), gradients(layer), strict=True):
        # float32; the graph may fuse and reorder sums over a few hundred coefficients.
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4 * float(want.abs().max()))


def test_compiled_training_clamps_and_counts():
    layer = JPEGLayer(3.0, hbar=0.7)
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    set_entries(layer.q, *OUTSIDE)
    eager = copy.deepcopy(layer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableClampWarning)
        want = eager(IMAGE)
    torch.testing.assert_close(compiled(IMAGE), want, rtol=1e-6, atol=1e-3)
    assert layer.clamp_count == 6
    assert torch.equal(layer.q, eager.q)
    torch.testing.assert_close(layer.alpha, eager.alpha, rtol=1e-6, atol=0)
    layer.eval()
    set_entries(layer.q, -2.0)
    compiled(IMAGE)
    assert layer.q.view(-1)[0] == -2
    assert layer.clamp_count == 6


@pytest.mark.parametrize("options", [{}, {"window": 5, "subsampling": "4:2:0"}, {"hbar": 2.0}])
@pytest.mark.parametrize("training", [True, False])
def test_vmap_of_grad_over_tables_is_a_loop(options, training):
    layer = JPEGLayer(3.0, **options).train(training)
    tables = torch.rand(4, 2, 8, 8, generator=torch.Generator().manual_seed(5)) * 9 + 1
    tables[1, 0, 0, 0] = -1.0  # clamped inside, left alone outside
    before = tables.clone()

    def loss(q: Tensor, image: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"q": q}, image).sin().sum()

    per_table = torch.func.vmap(torch.func.grad(loss, argnums=(0, 1)), in_dims=(0, None))
    got = per_table(tables, IMAGE)
    loop = [torch.func.grad(loss, argnums=(0, 1))(q, IMAGE) for q in tables]
    for ours, theirs in zip(got, zip(*loop, strict=True), strict=True):
        want = torch.stack(theirs)
        # float32 sums over a few hundred coefficients in another order.
        torch.testing.assert_close(ours, want, rtol=1e-4, atol=1e-5 * float(want.abs().max()))
    per_image = torch.func.vmap(loss, in_dims=(None, 0))(tables[0], IMAGE[:, None])
    alone = torch.stack([loss(tables[0], image[None]) for image in IMAGE])
    torch.testing.assert_close(per_image, alone, rtol=1e-4, atol=1e-3)
    assert torch.equal(tables, before)
    assert layer.clamp_count == 0
    assert (layer.q == 3).all()


# Training


@pytest.mark.parametrize("options", OPTIONS)
def test_gradient_descent_descends(options):
    torch.manual_seed(0)
    layer = make(options).double()
    target = IMAGE.double()
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e-6)

    def loss() -> Tensor:
        return (layer(target) - target).square().sum()

    first = loss()
    first.backward()
    slope = sum(float(p.grad.square().sum()) for p in layer.parameters())
    optimizer.step()
    assert slope > 0
    # To first order a step of 1e-6 lowers the loss by 1e-6 |gradient|^2.
    assert float(loss().detach()) < float(first.detach())


def test_data_parallel_training_is_training_on_the_whole_batch(tmp_path: Path):
    init, out = (tmp_path / "init").as_uri(), tmp_path / "result"
    command = [sys.executable, _ddp_worker.__file__]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "USE_LIBUV": "0"}
    workers = [
        subprocess.Popen(
            [*command, str(rank), "2", init, str(out)],
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
    ranks = [torch.load(f"{out}.{rank}", weights_only=True) for rank in (0, 1)]
    assert_all_equal(ranks[0]["state"].values(), ranks[1]["state"].values())

    layer = _ddp_worker.make_layer()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableClampWarning)
        losses = _ddp_worker.train(layer, *_ddp_worker.batch())
    mean = np.mean([rank["losses"] for rank in ranks], axis=0)
    # float64 sums of some thousand terms, in another order.
    np.testing.assert_allclose(mean, losses, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ranks[0]["state"]["q"], layer.q.detach(), rtol=1e-9, atol=1e-12)
    assert not torch.allclose(layer.q, _ddp_worker.make_layer().q)
    assert layer.clamp_count == 1  # the clamping rule was part of it
