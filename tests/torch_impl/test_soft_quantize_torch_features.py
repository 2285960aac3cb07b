"""The soft quantizer as a citizen of torch: memory, compilation, transforms, threads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

import torch_impl.soft_quantize  # noqa: F401  registers the operators
from tests.torch_impl._judging import leaves
from torch_impl import soft_quantize

WINDOWS = [None, 5]
SUPPORT = {"max_level": 7}


def generic(shape=(4, 3), dtype=torch.float64, seed=0) -> list[Tensor]:
    """z inside, near and beyond the ends, and tables on both sides of h = pi."""
    rng = np.random.default_rng(seed)
    q = rng.uniform(0.5, 3.0, shape)
    h = rng.uniform(0.2, 8.0, shape)
    return leaves(rng.uniform(-9, 9, shape) * q, q, h / q**2, dtype=dtype)


def gradients_of(function: Callable[..., Tensor], *inputs: Tensor) -> tuple[Tensor, ...]:
    copies = [x.detach().requires_grad_() for x in inputs]
    value = function(*copies)
    return value.detach(), *torch.autograd.grad(value.sum(), copies)


def assert_all_equal(got: Any, want: Any) -> None:
    for a, b in zip(got, want, strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b), (a, b)


def assert_close(got: Any, want: Any) -> None:
    # The same kernel on other layouts; only the order of sums of a few terms may differ.
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


# Memory


def saved_by(function: Callable[[], Any]) -> list[Tensor]:
    saved: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        function()
    return saved


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("operator", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_nothing_but_the_inputs_is_saved(window, operator, dtype):
    z = torch.randn(50, 8, 8).to(dtype).requires_grad_()
    q, alpha = (torch.ones(8, 8, dtype=dtype, requires_grad=True) for _ in range(2))
    if operator:
        saved = saved_by(lambda: torch.ops.jpegdl.soft_quantize(z, q, alpha, 7, window or 0))
    else:
        saved = saved_by(lambda: soft_quantize(z, q, alpha, window=window, **SUPPORT))
    assert sorted(x.data_ptr() for x in saved) == sorted(x.data_ptr() for x in (z, q, alpha))
    size = z.element_size()
    assert sum(x.nbytes for x in saved) == (50 * 64 + 64 + 64) * size
    assert max(x.untyped_storage().nbytes() for x in saved) == z.nbytes


def test_nothing_is_saved_where_no_gradient_is_wanted():
    z, q, alpha = generic()
    with torch.no_grad():
        assert saved_by(lambda: soft_quantize(z, q, alpha, **SUPPORT)) == []
        assert not soft_quantize(z, q, alpha, **SUPPORT).requires_grad
    with torch.inference_mode():
        assert saved_by(lambda: soft_quantize(z, q, alpha, **SUPPORT)) == []
        assert soft_quantize(z, q, alpha, **SUPPORT).is_inference()
    plain = [x.detach() for x in (z, q, alpha)]
    assert saved_by(lambda: soft_quantize(*plain, **SUPPORT)) == []


def test_inputs_and_the_incoming_gradient_are_left_alone():
    inputs = generic()
    weight = torch.randn(4, 3, dtype=torch.float64)
    copies = [x.detach().clone() for x in (*inputs, weight)]
    value = soft_quantize(*inputs, **SUPPORT)
    torch.autograd.grad(value, inputs, weight)
    assert_all_equal([x.detach() for x in (*inputs, weight)], copies)


def test_the_result_shares_no_memory_with_its_inputs():
    z = torch.zeros(4, requires_grad=True)
    value = soft_quantize(z, 1.0, 1.0, **SUPPORT)
    assert value.data_ptr() != z.data_ptr()
    w = z + 0
    out = soft_quantize(w, 1.0, 1.0, **SUPPORT)
    w += 1  # what was saved is watched
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


# Derivatives that do not exist


@pytest.mark.parametrize("operator", [False, True])
def test_second_derivatives_are_refused_in_words(operator):
    z, q, alpha = generic()
    if operator:
        value = torch.ops.jpegdl.soft_quantize(z, q, alpha, 7, 0)
    else:
        value = soft_quantize(z, q, alpha, **SUPPORT)
    first = torch.autograd.grad(value.sum(), (z, q, alpha), create_graph=True)
    for gradient in first:
        with pytest.raises(NotImplementedError, match="soft_quantize has no second derivatives"):
            torch.autograd.grad(gradient.sum(), z, retain_graph=True)


def test_forward_mode_is_refused_not_wrong():
    z, q, alpha = (x.detach() for x in generic())
    with pytest.raises((NotImplementedError, RuntimeError), match=r"jvp|forward"):
        torch.func.jvp(lambda x: soft_quantize(x, q, alpha, **SUPPORT), (z,), (z,))


# The operators


OPCHECK_INPUTS = [
    pytest.param((4, 3), (4, 3), (4, 3), 0, torch.float64, id="full"),
    pytest.param((4, 3), (3,), (1, 1), 5, torch.float32, id="broadcast-window"),
    pytest.param((4, 3), (), (), 0, torch.float32, id="numbers"),
    pytest.param((3,), (2, 1), (1,), 3, torch.float64, id="table-wider-than-z"),
    pytest.param((3,), (1,), (2, 1), 0, torch.float64, id="alpha-wider-than-z"),
    pytest.param((4, 3), (3,), (3,), 5, torch.bfloat16, id="bfloat16"),
]


@pytest.mark.parametrize(("z", "q", "alpha", "window", "dtype"), OPCHECK_INPUTS)
def test_opcheck(z, q, alpha, window, dtype):
    make = torch.Generator().manual_seed(0)
    inputs = [
        (torch.rand(shape, generator=make) * scale + low).to(dtype).requires_grad_()
        for shape, scale, low in ((z, 8, -4), (q, 1, 0.5), (alpha, 3, 0.5))
    ]
    torch.library.opcheck(torch.ops.jpegdl.soft_quantize.default, (*inputs, 7, window))


@pytest.mark.parametrize("needs", [[True, True, True], [True, False, True], [False, True, False]])
def test_opcheck_of_the_backward(needs):
    z, q, alpha = (x.detach() for x in generic((4, 3)))
    grad = torch.ones_like(z)
    for tables in ((q, alpha), (q[0], alpha[0, 0])):
        torch.library.opcheck(
            torch.ops.jpegdl.soft_quantize_backward.default, (grad, z, *tables, 7, 5, needs)
        )


def test_the_operator_is_the_function():
    inputs = generic()
    for window in WINDOWS:
        assert_all_equal(
            gradients_of(lambda *x, w=window: soft_quantize(*x, window=w, **SUPPORT), *inputs),
            gradients_of(
                lambda *x, w=window: torch.ops.jpegdl.soft_quantize(*x, 7, w or 0), *inputs
            ),
        )


@pytest.mark.parametrize("name", ["q", "alpha"])
def test_the_operator_checks_its_tables(name):
    arguments = {"z": torch.zeros(3), "q": torch.ones(3), "alpha": torch.ones(3)}
    arguments[name][1] = -1
    with pytest.raises(ValueError, match=rf"{name} must be positive .* at index \(1,\)"):
        torch.ops.jpegdl.soft_quantize(*arguments.values(), 7, 0)


# Compilation


def compiled_loss(window, backend):
    def function(z, q, alpha):
        return soft_quantize(2 * z, q, alpha, max_level=7, window=window).square()

    torch._dynamo.reset()
    return function, torch.compile(function, fullgraph=True, backend=backend)


@pytest.mark.parametrize(
    ("window", "backend"),
    [
        (None, "aot_eager"),
        (5, "aot_eager"),
        pytest.param(None, "inductor", marks=pytest.mark.slow),
    ],
)
def test_compiles_to_one_graph_with_the_same_numbers(window, backend):
    function, compiled = compiled_loss(window, backend)
    # The second shape recompiles; the third one has broadcast tables.
    for inputs in (generic((4, 3)), generic((6, 2)), [generic((5, 3))[0], *generic((3,))[1:]]):
        assert_close(gradients_of(compiled, *inputs), gradients_of(function, *inputs))


def test_compiled_code_still_refuses_bad_tables():
    _, compiled = compiled_loss(None, "aot_eager")
    z, q, alpha = (x.detach() for x in generic())
    q[1, 1] = math.nan
    with pytest.raises(ValueError, match=r"q must be positive and finite, got nan at index"):
        compiled(z, q, alpha)


def test_compiled_without_gradients():
    function, compiled = compiled_loss(5, "aot_eager")
    inputs = generic()
    with torch.no_grad():
        assert_close([compiled(*inputs)], [function(*inputs)])


def test_exports():
    class Module(torch.nn.Module):
        def forward(self, z, q, alpha):
            return soft_quantize(z, q, alpha, max_level=7, window=5)

    batch = torch.export.Dim("batch", min=2)
    inputs = tuple(x.detach() for x in generic((4, 3)))
    shapes = ({0: batch}, {0: batch}, {0: batch})
    program = torch.export.export(Module(), inputs, dynamic_shapes=shapes)
    other = tuple(x.detach() for x in generic((9, 3), seed=1))
    assert torch.equal(program.module()(*other), Module()(*other))


# torch.func


def value_of(window):
    return lambda z, q, alpha: soft_quantize(z, q, alpha, max_level=7, window=window)


def loop(function, in_dims, *inputs):
    """vmap the slow way: one call per example."""
    (size,) = {x.shape[d] for x, d in zip(inputs, in_dims, strict=True) if d is not None}
    calls = []
    for i in range(size):
        chosen = [x if d is None else x.select(d, i) for x, d in zip(inputs, in_dims, strict=True)]
        calls.append(function(*chosen))
    if isinstance(calls[0], tuple):
        return tuple(torch.stack(column) for column in zip(*calls, strict=True))
    return torch.stack(calls)


# Shapes with their vmap dimension, and where it is.
BATCHES = [
    ((5, 4, 3), (5, 4, 3), (5, 4, 3), (0, 0, 0)),
    ((4, 5, 3), (4, 3), (3,), (1, None, None)),
    ((4, 3), (5, 3), (3, 5), (None, 0, -1)),
    ((4, 3, 5), (5, 4, 1), (1, 1), (-1, 0, None)),
    ((5,), (5, 3), (2, 5, 1), (0, 0, 1)),
]


def batch_of(shapes) -> list[Tensor]:
    rng = np.random.default_rng(7)
    z, q, alpha = shapes
    arrays = rng.uniform(-9, 9, z), rng.uniform(0.5, 2, q), rng.uniform(0.3, 5, alpha)
    return [torch.from_numpy(a) for a in arrays]


@pytest.mark.parametrize(("z", "q", "alpha", "in_dims"), BATCHES)
@pytest.mark.parametrize("window", WINDOWS)
def test_vmap_is_a_loop(z, q, alpha, in_dims, window):
    inputs = batch_of((z, q, alpha))
    function = value_of(window)
    got = torch.func.vmap(function, in_dims=in_dims)(*inputs)
    assert_close([got], [loop(function, in_dims, *inputs)])


@pytest.mark.parametrize(("z", "q", "alpha", "in_dims"), BATCHES)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("argnums", [(0, 1, 2), (0,), (1,), (0, 2)])
def test_vmap_of_grad_is_a_loop(z, q, alpha, in_dims, window, argnums):
    inputs = batch_of((z, q, alpha))

    def loss(*x):
        return value_of(window)(*x).sin().sum()

    gradient = torch.func.grad(loss, argnums=argnums)
    got = torch.func.vmap(gradient, in_dims=in_dims)(*inputs)
    assert_close(got, loop(gradient, in_dims, *inputs))


@pytest.mark.parametrize("window", WINDOWS)
def test_func_grad_is_autograd(window):
    inputs = generic()
    got = torch.func.grad(lambda *x: value_of(window)(*x).sum(), argnums=(0, 1, 2))(*inputs)
    assert_all_equal(got, gradients_of(value_of(window), *inputs)[1:])


def test_jacrev_is_a_loop_over_outputs():
    z, q, alpha = batch_of(((4, 3), (3,), (1, 1)))
    for argument, inputs in enumerate((z, q, alpha)):
        jacobian = torch.func.jacrev(value_of(5), argnums=argument)(z, q, alpha)
        assert jacobian.shape == (4, 3, *inputs.shape)
        for i, j in itertools.product(range(4), range(3)):
            row = torch.func.grad(lambda *x, i=i, j=j: value_of(5)(*x)[i, j], argnums=argument)
            assert_close([jacobian[i, j]], [row(z, q, alpha)])


def test_nested_vmap():
    z, q, alpha = batch_of(((2, 3, 4), (3, 4), (2, 1)))
    inner = torch.func.vmap(value_of(None), in_dims=(0, 0, None))
    got = torch.func.vmap(inner, in_dims=(0, None, 0))(z, q, alpha)
    assert_close([got], [soft_quantize(z, q, alpha[:, :, None], **SUPPORT)])


def test_gradients_batched_over_the_incoming_one():
    inputs = generic()
    value = soft_quantize(*inputs, **SUPPORT)
    weights = torch.randn(6, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    together = torch.autograd.grad(value, inputs, weights, is_grads_batched=True, retain_graph=True)
    for i, weight in enumerate(weights):
        alone = torch.autograd.grad(value, inputs, weight, retain_graph=True)
        assert_close([x[i] for x in together], alone)


# Threads and repetition


@pytest.mark.parametrize("window", WINDOWS)
def test_results_do_not_depend_on_the_number_of_threads(window):
    make = torch.Generator().manual_seed(2)
    # 60,000 elements: more than torch gives to one thread. Some are saturated.
    z = torch.randn(20, 3, 32, 32, generator=make) * 5
    q = torch.rand(3, 1, 32, generator=make) + 0.5
    alpha = torch.rand(32, generator=make) + 0.2
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3, 1):
            torch.set_num_threads(threads)
            results.append(gradients_of(value_of(window), z, q, alpha))
    finally:
        torch.set_num_threads(before)
    for name, *columns in zip(("value", "dz", "dq", "dalpha"), *results, strict=True):
        for other in columns[1:]:
            assert torch.equal(columns[0], other), name


def test_accumulates_over_calls():
    z, q, alpha = generic()
    for _ in range(2):
        soft_quantize(z, q, alpha, **SUPPORT).sum().backward()
    once = gradients_of(value_of(None), z, q, alpha)[1:]
    assert_all_equal([x.grad for x in (z, q, alpha)], [2 * g for g in once])
