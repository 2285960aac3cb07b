"""Networks by name and from functions of other packages; wrong names, types and sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from trainer.networks import (
    CifarMobileNetV2,
    CifarResNet,
    CifarShuffleNetV2,
    CifarVGG,
    PreActResNet18,
    make_network,
)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CifarResNet(10, 33), r"depth must be 6n \+ 2 .* got 33"),
        (lambda: CifarResNet(10, 2), r"depth must be 6n \+ 2 .* got 2"),
        (lambda: CifarVGG(10, 0), "convolutions must be at least 1, got 0"),
        (lambda: CifarMobileNetV2(10, 0.05), r"width must be from 1/16 .* got 0.05"),
        (lambda: CifarMobileNetV2(10, 1.5), r"width must be from 1/16 .* got 1.5"),
        (lambda: PreActResNet18(10, "64"), "stem must be .*got '64'"),
        (lambda: make_network("resnet32", 0), "classes must be at least 1, got 0"),
    ],
)
def test_impossible_sizes_are_refused(call: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("resnet-32", "resnet32"), ("VGG8", "vgg8"), ("mobilenet_v2", "mobilenetv2")],
)
def test_an_unknown_name_gives_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"no network '{name}', did you mean '{nearest}'"):
        make_network(name, 10)


def test_a_name_near_to_none_gives_them_all() -> None:
    with pytest.raises(ValueError, match=r"no network 'zzzz'\. Known are small_cnn, resnet32"):
        make_network("zzzz", 10)


@pytest.mark.parametrize(
    ("name", "classes", "message"),
    [
        (3, 10, "name must be a string, got int"),
        ("vgg8", 1.5, "classes must be an integer"),
        ("vgg8", True, "classes must be an integer, got bool"),
    ],
)
def test_wrong_types_are_named(name: object, classes: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make_network(name, classes)  # type: ignore[arg-type]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an importable package with functions of several signatures."""
    folder = tmp_path / "my_networks_for_a_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "broken.py").write_text("import a_package_that_nobody_has\n")
    (folder / "zoo.py").write_text(
        "from torch import nn\n"
        "def positional(n):\n    return nn.Linear(1, n)\n"
        "def like_timm(pretrained=False, **kwargs):\n"
        "    assert not pretrained\n    return nn.Linear(1, kwargs['num_classes'])\n"
        "def like_torchvision(*, weights=None, num_classes=1000):\n"
        "    return nn.Linear(1, num_classes)\n"
        "def nothing():\n    return nn.Linear(1, 1)\n"
        "def no_module(n):\n    return n\n"
        "def fails(n):\n    raise TypeError('of its own')\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return folder.name


@pytest.mark.parametrize("function", ["positional", "like_timm", "like_torchvision"])
def test_functions_of_other_packages_work(mine: str, function: str) -> None:
    network = make_network(f"{mine}.zoo:{function}", 13)
    assert isinstance(network, nn.Linear)
    assert network.out_features == 13


def test_a_class_of_this_package_works_as_well() -> None:
    assert isinstance(make_network("trainer.networks:CifarShuffleNetV2", 4), CifarShuffleNetV2)


@pytest.mark.parametrize(
    ("suffix", "error", "message"),
    [
        (".zoo:positionl", ValueError, "no 'positionl', did you mean 'positional'"),
        (".zo:positional", ValueError, r"no module 'my_networks_for_a_test\.zo' .*PYTHONPATH"),
        (".zoo:", ValueError, 'must have the form "package.module:function"'),
        (".zoo:a:b", ValueError, 'must have the form "package.module:function"'),
        (".zoo:number", TypeError, "must be a function, got int"),
        (".zoo:nothing", TypeError, r"callable with num_classes=N .* signature is \(\)"),
        (".zoo:no_module", TypeError, r"must return a torch\.nn\.Module, got int"),
        (".zoo:fails", TypeError, "^of its own$"),
        (".broken:f", ModuleNotFoundError, "a_package_that_nobody_has"),
    ],
)
def test_what_cannot_be_called_is_named(
    mine: str, suffix: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make_network(mine + suffix, 10)


def test_a_missing_package_is_named() -> None:
    with pytest.raises(ValueError, match=r"no module 'not_a_package' .* Install its package"):
        make_network("not_a_package.models:resnet", 10)
