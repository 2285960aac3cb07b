"""Feature maps, Grad-CAM++, tables and sensitivity of runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torch_impl import JPEGLayer, measure_sensitivity
from trainer import TrainConfig
from trainer.data import ImageData
from trainer.errors import DataError, RunFolderError
from trainer.figures import draw_runs, run_tables
from trainer.figures.chosen_image import image_from_file, telling_image
from trainer.figures.feature_maps import (
    default_cam_layer,
    default_layer,
    feature_maps,
    map_sizes,
)
from trainer.figures.grad_cam import grad_cam, grad_cam_weights
from trainer.figures.run_tables import sensitivity_of_run, tables_of_run
from trainer.networks import ImageClassifier, SmallCNN
from trainer.saved_run import SavedRun


def classifier(network: nn.Module, jpeg: JPEGLayer | None = None) -> ImageClassifier:
    return ImageClassifier(network, torch.full((3,), 120.0), torch.full((3,), 60.0), jpeg).eval()


@pytest.fixture
def model() -> ImageClassifier:
    torch.manual_seed(0)
    return classifier(SmallCNN(classes=3, width=2))


@pytest.fixture
def image() -> Tensor:
    return 255 * torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def saved(model: ImageClassifier, tmp_path: Any, **options: Any) -> SavedRun:
    config = TrainConfig(**options)
    q = None if model.jpeg is None else torch.arange(1.0, 129.0).reshape(2, 8, 8)
    return SavedRun(tmp_path / "run", config, model, ("blue", "green", "red"), (16, 16), (), q)


class Dense(nn.Module):
    """A network whose first dense block ends at half the image's side, and works in place."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, 4, 3, 2, 1))
        self.features.add_module("denseblock1", nn.Conv2d(4, 4, 1))
        self.features.add_module("relu", nn.ReLU(inplace=True))
        self.features.add_module("pool", nn.AvgPool2d(2))

    def forward(self, image: Tensor) -> Tensor:
        return self.features(image).mean((2, 3))


def test_default_layers(model: ImageClassifier, image: Tensor) -> None:
    sizes = {
        size.layer: (size.channels, size.height, size.width) for size in map_sizes(model, image)
    }
    assert sizes["features.3"] == (2, 16, 16)
    assert default_layer(model, image) == "features.7"
    assert sizes["features.7"] == (4, 8, 8)
    assert default_cam_layer(model, image) == "features.14"
    assert sizes["features.14"] == (8, 4, 4)
    dense = classifier(Dense())
    assert default_layer(dense, image) == "features.denseblock1"
    with pytest.raises(ValueError, match=r"maps of 8x8.*--layer, such as 0 \(32x32\)"):
        default_layer(classifier(nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten())), image)


def test_feature_maps_are_the_output_of_the_module(model: ImageClassifier, image: Tensor) -> None:
    maps = feature_maps(model, image, "features.7")
    with torch.no_grad():
        expected = model.network.features[:8]((image - 120) / 60)[0]
    assert torch.equal(maps, expected)
    assert not model.network.features[7]._forward_hooks  # nothing stays behind


def test_feature_maps_keep_what_the_next_module_overwrites(image: Tensor) -> None:
    torch.manual_seed(1)
    dense = classifier(Dense())
    maps = feature_maps(dense, image, "features.denseblock1")
    assert maps.min() < 0  # before the ReLU in place
    with torch.no_grad():
        expected = dense.network.features[:2]((image - 120) / 60)[0]
    assert torch.equal(maps, expected)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("features.77", "no module 'features.77', did you mean 'features.7'"),
        ("", "no module ''"),
        ("classifier", "gives no feature maps"),
    ],
)
def test_wrong_layers(model: ImageClassifier, image: Tensor, layer: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        feature_maps(model, image, layer)


def test_grad_cam_weights_are_those_of_the_definition() -> None:
    # alpha solves the paper's equation with second and third derivatives of Y = exp(S); here they
    # come from autograd, element by element, for a logit S that is linear in the maps.
    generator = torch.Generator().manual_seed(2)
    maps = torch.rand(2, 2, 3, generator=generator, dtype=torch.float64)
    slope = torch.randn(2, 2, 3, generator=generator, dtype=torch.float64)
    weights = torch.zeros(2, dtype=torch.float64)
    leaf = maps.clone().requires_grad_()
    (first,) = torch.autograd.grad((leaf * slope).sum().exp(), leaf, create_graph=True)
    for channel in range(2):
        for place in np.ndindex(2, 3):
            at = (channel, *place)
            (row,) = torch.autograd.grad(first[at], leaf, create_graph=True)
            (third,) = torch.autograd.grad(row[at], leaf, retain_graph=True)
            alpha = row[at] / (2 * row[at] + (maps[channel] * third[at]).sum())
            weights[channel] += (alpha * first[at].clamp(min=0)).item()
    expected = weights / (maps * slope).sum().exp()  # the common factor exp(S)
    torch.testing.assert_close(grad_cam_weights(maps, slope), expected, rtol=1e-12, atol=0)


def test_grad_cam_weights_by_hand() -> None:
    maps = torch.tensor([[[1.0, 3.0]], [[5.0, 5.0]], [[1.0, 1.0]]])
    gradient = torch.tensor([[[0.5, -1.0]], [[0.0, 0.0]], [[-1.0, 1.0]]])
    # first map: sum A = 4; at 0.5: 0.25 / (0.5 + 4 * 0.125) = 0.25, times 0.5; -1 does not count
    # third: at -1 the denominator 2 - 2 is 0 and counts as 0; at 1: 1 / (2 + 2)
    assert grad_cam_weights(maps, gradient).tolist() == [0.125, 0.0, 0.25]
    # a denominator of 0 at a positive gradient: 2 + (-2) 1
    assert grad_cam_weights(torch.tensor([[[-3.0, 1.0]]]), torch.ones(1, 1, 2)).tolist() == [0.0]


class Half(nn.Module):
    """Two classes: the mean of the red, or of the blue channel, through a named module."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.ReLU(inplace=True)

    def forward(self, image: Tensor) -> Tensor:
        return self.maps(image * 1.0).mean((2, 3))[:, ::2]


def test_grad_cam_shows_where_the_evidence_is() -> None:
    image = torch.full((1, 3, 8, 8), 120.0)
    image[0, 0, :, :4] = 240.0  # red on the left: class 0
    image[0, 2, 2, 6] = 180.0  # blue in one place: class 1
    model = classifier(Half())
    cam, target = grad_cam(model, image, "maps")
    assert target == 0
    assert torch.equal(cam, (image[0, 0] > 120).float())
    cam, target = grad_cam(model, image, "maps", target=1)
    assert target == 1
    assert cam.nonzero().tolist() == [[2, 6]]
    assert cam.max() == 1


def test_grad_cam_without_evidence_is_zero_and_leaves_no_gradients(
    model: ImageClassifier, image: Tensor
) -> None:
    cam, _ = grad_cam(classifier(Half()), torch.full((1, 3, 8, 8), 10.0), "maps")
    assert torch.equal(cam, torch.zeros(8, 8))
    for layer in ("features.14", "features.4"):  # after a ReLU, and with negative maps
        cam, target = grad_cam(model, image, layer)
        assert cam.shape == (32, 32)
        assert 0 <= cam.min() <= cam.max() == 1
    assert target == int(model(image).argmax())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_grad_cam_refuses_a_layer_without_influence(image: Tensor) -> None:
    class Apart(Half):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Identity()

        def forward(self, image: Tensor) -> Tensor:
            self.unused(image)
            return super().forward(image)

    with pytest.raises(ValueError, match="do not depend on 'unused'"):
        grad_cam(classifier(Apart()), image, "unused")


def test_tables_of_a_run_are_in_zigzag_order(tmp_path: Any) -> None:
    q = 2 * torch.arange(1.0, 129.0).reshape(2, 8, 8).clamp(max=127)
    run = saved(classifier(SmallCNN(3, 2), JPEGLayer(q.clamp(max=255))), tmp_path)
    tables = tables_of_run(run)
    assert tables.initial[0, :6].tolist() == [1, 2, 9, 17, 10, 3]  # T.81, Fig. 5
    assert tables.initial[1, -2:].tolist() == [127, 128]
    assert tables.final.shape == (1, 2, 64)
    assert torch.equal(tables.final[0], (2 * tables.initial.clamp(max=127)))


def test_tables_need_a_layer_before_the_network(model: ImageClassifier, tmp_path: Any) -> None:
    with pytest.raises(RunFolderError, match=r"no luma and chroma tables.*baseline"):
        tables_of_run(saved(model, tmp_path, method="baseline"))


def test_sensitivity_is_measured_on_training_images(data: ImageData, tmp_path: Any) -> None:
    torch.manual_seed(3)
    model = classifier(SmallCNN(3, 2))
    measured = sensitivity_of_run(saved(model, tmp_path, method="baseline"), data, images=12)
    assert measured.images == 12
    index = torch.arange(12) * 24 // 12
    batch = data.train_batch(index, seed=0, step=0, augment=False).float()
    expected = measure_sensitivity(model, [(batch, data.train_labels[index])])
    assert set(data.train_labels[index].tolist()) == {0, 1, 2}
    assert measured.values[1, 2] == expected.S_Cb[1, 0]  # zigzag index 2 is one row down
    assert measured.values[2, 63] == expected.S_Cr[7, 7]
    assert sensitivity_of_run(saved(model, tmp_path), data, images=10**6).images == 24


def test_batches_for_the_sensitivity_hold_every_chosen_image_once(
    data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_tables, "_BATCH", 5)
    batches = list(run_tables._batches(data, 12))
    assert [len(labels) for _, labels in batches] == [4, 4, 4]
    assert all(set(labels.tolist()) == {0, 1, 2} for _, labels in batches)
    index = torch.arange(0, 24, 2)
    expected = data.train_batch(index, seed=0, step=0, augment=False).float()
    images = torch.cat([images for images, _ in batches])
    same = (images[:, None] == expected).flatten(2).all(2)
    assert torch.equal(same.sum(0), torch.ones(12, dtype=torch.int64))


class Says(nn.Module):
    """The same class for all images, or for those that are brighter than 120 on average."""

    def __init__(self, answer: int, else_answer: int | None = None) -> None:
        super().__init__()
        self.answers = (answer, answer if else_answer is None else else_answer)

    def forward(self, image: Tensor) -> Tensor:
        bright = image.mean((1, 2, 3)) > 0
        chosen = torch.where(bright, *self.answers)
        return nn.functional.one_hot(chosen, 3).float()


def test_the_telling_image_is_right_for_one_only(data: ImageData, tmp_path: Any) -> None:
    green, red = (saved(classifier(Says(answer)), tmp_path) for answer in (1, 2))
    image = telling_image(green, red, data)
    assert image.label == "green"
    assert torch.equal(image.pixels, data.val_images[5:6].float())
    assert "validation image 5: the first that" in image.origin
    neither = telling_image(green, green, data)
    assert torch.equal(neither.pixels, data.val_images[:1].float())
    assert "there is none" in neither.origin


def test_an_image_file_is_cut_to_the_shape_of_the_run(tmp_path: Any) -> None:
    from PIL import Image

    pixels = np.zeros((20, 60, 3), dtype=np.uint8)
    pixels[:, 20:40] = (10, 20, 30)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    image = image_from_file(tmp_path / "wide.png", (20, 20))
    assert image.pixels.shape == (1, 3, 20, 20)
    assert image.pixels[0, :, 5, 5].tolist() == [10, 20, 30]
    assert image.label is None
    (tmp_path / "text.png").write_text("no image")
    for name in ("text.png", "missing.png"):
        with pytest.raises(DataError, match=f"{name} cannot be read"):
            image_from_file(tmp_path / name, (8, 8))


def test_mosaic_scales_every_map_on_its_own() -> None:
    maps = torch.stack([torch.tensor([[1.0, 2.0], [3.0, 5.0]]), torch.full((2, 2), 7.0)])
    canvas = draw_runs.mosaic(maps)
    assert canvas.shape == (4, 7)
    assert canvas[1:3, 1:3].tolist() == [[0, 0.25], [0.5, 1]]
    assert canvas[1:3, 4:6].tolist() == [[0, 0], [0, 0]]
    assert np.isnan(canvas[:, 3]).all()
    assert np.isnan(canvas[0]).all()
    many = draw_runs.mosaic(torch.zeros(100, 2, 2))
    assert (many == 0).sum() == draw_runs.MOST_MAPS * 4
