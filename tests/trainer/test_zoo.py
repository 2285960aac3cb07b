"""Networks and augmentations that come from torchvision and timm (extra ``zoo``).

Needs an environment in which torchvision can be imported: ``tox -e zoo``.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from torch_impl import FeatureQuantizer
from trainer import RECIPES, TrainConfig, make_network, recipe
from trainer.data import ImageData
from trainer.networks import build_model

if not all(importlib.util.find_spec(name) for name in ("torchvision", "timm", "lightning_fabric")):
    pytest.skip("needs the extra zoo", allow_module_level=True)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

# Trainable parameters for the number of classes, as torchvision and timm document them for 1000
# (11,689,512; 21,797,672; 7,978,856; 1,235,496; 12,289,928), less or more in the last layer.
COUNTS = {
    ("torchvision.models:resnet18", 200): 11_689_512 - 800 * (512 + 1),
    ("torchvision.models:resnet34", 1000): 21_797_672,
    ("torchvision.models:densenet121", 120): 7_978_856 - 880 * (1024 + 1),
    ("torchvision.models:squeezenet1_1", 1000): 1_235_496,
    # two heads, one of them for distillation
    ("timm.models.efficientformer:efficientformer_l1", 102): 12_289_928 - 2 * 898 * (448 + 1),
}


@pytest.mark.parametrize(("name", "classes"), COUNTS)
def test_networks_have_the_known_number_of_parameters(name: str, classes: int) -> None:
    network = make_network(name, classes).eval()
    parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert parameters == COUNTS[name, classes]
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 224, 224)).shape == (1, classes)


def test_every_network_that_a_recipe_names_can_be_built() -> None:
    named = {make().network for make in RECIPES.values()}
    assert {name for name, _ in COUNTS} == {name for name in named if ":" in name}
    for name in named:
        make_network(name, 10)


def test_layer_replacement_has_a_table_for_each_of_the_64_kernels() -> None:
    """Appendix A.7: 64 kernels, maps of 112 x 112, alpha 2, b = 6."""
    config = recipe("cub200-resnet18-layer-replacement")
    model = build_model(config, classes=200, mean=torch.zeros(3), std=torch.ones(3))
    layer = model.quantizer
    assert isinstance(layer, FeatureQuantizer)
    assert (layer.channels, layer.max_level, layer.window) == (64, 31, 5)
    assert bool((layer.alpha == 2).all())
    sizes = []
    layer.register_forward_hook(lambda module, inputs, output: sizes.append(output.shape))
    model.eval()(torch.full((1, 3, 224, 224), 128.0))
    assert sizes == [(1, 64, 112, 112)]
    own = {id(p) for p in model.network_parameters()} & {id(p) for p in model.table_parameters()}
    assert not own


def test_randaugment_is_a_function_of_seed_step_and_position() -> None:
    config = TrainConfig(randaugment="rand-m9-mstd0.5-inc1", random_erasing=0.25)
    from trainer.data import extra_augmentation

    change = extra_augmentation(config)
    assert change is not None
    source = torch.Generator().manual_seed(0)
    images = torch.randint(256, (12, 3, 40, 32), generator=source, dtype=torch.uint8)
    whole = change(images, seed=3, step=5, part=slice(None))
    assert whole.shape == images.shape
    assert whole.dtype == torch.uint8
    again = change(images[4:9], seed=3, step=5, part=slice(4, 9))
    assert torch.equal(again, whole[4:9])
    assert not torch.equal(change(images, seed=3, step=6, part=slice(None)), whole)
    assert not torch.equal(change(images, seed=4, step=5, part=slice(None)), whole)


@pytest.mark.parametrize(
    "fields",
    [
        {"network": "torchvision.models:resnet18", "placement": "relu", "alpha": 2.0},
        {
            "network": "torchvision.models:resnet18",
            "randaugment": "rand-m9-mstd0.5-inc1",
            "mixup": 0.8,
            "cutmix": 1.0,
            "label_smoothing": 0.1,
            "optimizer": "adamw",
            "learning_rate": 1e-3,
        },
    ],
)
def test_a_network_of_the_zoo_trains_and_resumes(
    tmp_path: Path, data: ImageData, fields: dict[str, object]
) -> None:
    from trainer import train
    from trainer.saved_run import load_run

    config = TrainConfig(epochs=2, batch_size=8, max_level=127, **fields)  # type: ignore[arg-type]
    result = train(config, tmp_path, data=data)
    assert result.finished
    run = load_run(tmp_path)
    assert train(config, tmp_path, data=data).history == result.history
    quantizer = run.model.quantizer
    assert quantizer is not None
    assert not torch.equal(quantizer.q, torch.ones_like(quantizer.q))  # the tables were trained
