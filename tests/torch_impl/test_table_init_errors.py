"""What measuring tables refuses, and in which words."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.torch_impl.test_table_init import batch_of, smooth_network
from torch_impl import CoefficientMeans, Sensitivity, measure_coefficients, measure_sensitivity

IMAGES, LABELS = batch_of(2)


@pytest.mark.parametrize(
    ("batches", "error", "message"),
    [
        ([], ValueError, "loader gave no images"),
        (3, TypeError, "loader must be an iterable"),
        (IMAGES, TypeError, "loader must give batches"),
        ([()], ValueError, "empty tuple"),
        ([IMAGES], ValueError, r"loader must give \(images, labels\)"),
        ([(IMAGES.to(torch.uint8), LABELS)], TypeError, "image must be floating point"),
        ([(IMAGES[0], LABELS)], ValueError, "image must be RGB"),
        ([(IMAGES - 128, LABELS)], ValueError, r"images must lie in \[0, 255\], got values from -"),
        ([(IMAGES * 2, LABELS)], ValueError, r"images must lie in \[0, 255\]"),
        ([(IMAGES * float("nan"), LABELS)], ValueError, "got values from nan"),
        ([(IMAGES / 255, LABELS)], ValueError, "none of 2 has a value above 1"),
        ([(IMAGES, LABELS[:1])], ValueError, r"labels must have shape \(2,\)"),
        ([(IMAGES, LABELS[:, None])], ValueError, r"labels must have shape \(2,\)"),
        ([(IMAGES, LABELS.double())], TypeError, "labels must be integers"),
        ([(IMAGES, [0, 1])], TypeError, "labels must be a torch.Tensor"),
        ([(IMAGES, LABELS - 5)], ValueError, r"labels must lie in 0..4"),
    ],
)
def test_wrong_batches_are_named(batches, error, message):
    with pytest.raises(error, match=message):
        measure_sensitivity(smooth_network(), batches)


class Detached(nn.Module):
    def forward(self, image):
        return image.detach().flatten(1)


class Diverged(nn.Module):
    def forward(self, image):
        return image.flatten(1) * float("nan")


class Pair(nn.Module):
    def forward(self, image):
        return image, image


@pytest.mark.parametrize(
    ("network", "error", "message"),
    [
        (lambda x: x, TypeError, "network must be a torch.nn.Module"),
        (Detached(), ValueError, "does not depend on its images"),
        (Diverged(), ValueError, "gradient of the loss is not finite"),
        (Pair(), TypeError, "network must give one tensor"),
        (nn.Conv2d(3, 5, 3).double(), ValueError, r"logits of shape \(2, classes\)"),
    ],
)
def test_wrong_networks_are_named(network, error, message):
    with pytest.raises(error, match=message):
        measure_sensitivity(network, [(IMAGES, LABELS)])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"training": None}, TypeError, "training must be"),
        ({"max_images": 0}, ValueError, "max_images must be at least 1"),
        ({"max_images": 2.0}, TypeError, "max_images must be an integer"),
        ({"progress": "yes"}, TypeError, "progress must be"),
    ],
)
def test_wrong_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        measure_sensitivity(smooth_network(), [(IMAGES, LABELS)], **options)


def eights(value=1.0):
    return torch.full((8, 8), value)


def test_tables_that_do_not_follow_are_refused():
    zero = eights()
    zero[2, 5] = 0
    with pytest.raises(ValueError, match=r"S_Y is 0, or as good as 0, at 1 of 64 .*\(2, 5\)"):
        Sensitivity(zero, eights(), eights()).tables()
    # One of the two chromas may be 0.
    assert float(Sensitivity(eights(), zero, eights()).tables()[1, 2, 5]) == 20
    with pytest.raises(ValueError, match=r"S_Cb \+ S_Cr is 0"):
        Sensitivity(eights(), zero, zero).tables()
    with pytest.raises(ValueError, match=r"Cb \+ Cr is 0, .*grey"):
        CoefficientMeans(eights(), zero, zero).tables()
    with pytest.raises(ValueError, match="Y is 0"):
        CoefficientMeans(zero, eights(), eights()).tables()
    grey = IMAGES[:, :1].expand(-1, 3, -1, -1) * 0 + 77
    with pytest.raises(ValueError, match="as good as 0, at 6"):
        measure_coefficients([grey]).tables()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: s.tables(q_max=0), ValueError, "q_max must be positive"),
        (lambda s: s.tables(q_max=300), ValueError, "q_max must not exceed 255"),
        (lambda s: s.tables(q_max="10"), TypeError, "q_max must be a number"),
        (lambda s: Sensitivity(eights(), eights(), torch.ones(64)), ValueError, "S_Cr must have"),
        (lambda s: Sensitivity(eights(-1), eights(), eights()), ValueError, "S_Y must be finite"),
        (lambda s: Sensitivity(eights(), eights(float("nan")), eights()), ValueError, "S_Cb must"),
        (lambda s: Sensitivity(1.0, eights(), eights()), TypeError, "S_Y must be a torch.Tensor"),
        (lambda s: CoefficientMeans(eights(), eights(), eights()).tables(1), ValueError, "bits"),
        (lambda s: CoefficientMeans(eights(), eights(), eights()).tables(8.0), TypeError, "bits"),
    ],
)
def test_wrong_measures_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(Sensitivity(eights(), eights(), eights()))


def test_a_network_that_sees_no_colour_has_no_chroma_table():
    class Grey(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = smooth_network(torch.float32)

        def forward(self, image):
            luma = torch.tensordot(image, torch.tensor([0.299, 0.587, 0.114]), dims=([1], [0]))
            return self.inner(luma[:, None].expand(-1, 3, -1, -1))

    # Its gradient with respect to chroma is rounding: 1e-7 of that to luma, 1e-14 when squared.
    got = measure_sensitivity(Grey(), [(IMAGES.float(), LABELS)])
    assert float(got.S_Cb.max()) < 1e-12 * float(got.S_Y.max())
    with pytest.raises(ValueError, match=r"S_Cb \+ S_Cr is 0, or as good as 0"):
        got.tables()


def test_results_are_frozen():
    s = Sensitivity(eights(), eights(), eights())
    with pytest.raises(AttributeError):
        s.S_Y = eights()
