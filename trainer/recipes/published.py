"""The accuracies that the paper prints, as data: Tables 1, 2, 3, 5, 6, 7, 8 and 9."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One printed accuracy.

    Parameters
    ----------
    table
        Number of the table in JPEG-DL.
    recipe
        Name of the recipe that it belongs to.
    row, column
        Where it stands: method, and data set or network.
    mean, std
        Top-1 validation accuracy in percent over three runs; std is None where none is printed,
        both are None where no figure could be read in the copy of the paper used here.
    """

    table: int
    recipe: str
    row: str
    column: str
    mean: float | None
    std: float | None = None


_DATASETS = {"cub200": "CUB-200", "dogs": "Dogs", "flowers": "Flowers", "pets": "Pets"}
_NETWORKS = {"resnet18": "ResNet-18", "densenet121": "DenseNet-121"}
_Cell = tuple[float, float | None] | None

_TABLE_1: dict[str, tuple[str, float, float, float]] = {
    # network: name in the table, baseline (from CRD), JPEG-DL mean and std
    "resnet32": ("Res32", 71.14, 71.92, 0.31),
    "resnet56": ("Res56", 72.34, 73.39, 0.19),
    "resnet110": ("Res110", 73.79, 74.46, 0.11),
    "vgg8": ("VGG8", 70.36, 71.10, 0.41),
    "vgg13": ("VGG13", 73.77, 75.32, 0.10),
    "mobilenetv2": ("MobileNetV2", 64.6, 65.91, 0.11),
    "shufflenetv2": ("ShuffleNetV2", 71.82, 73.04, 0.16),
}
_TABLE_3 = {
    "squeezenet1_1": ("SqueezeNetV1.1", 57.95, 58.26),
    "resnet18": ("Resnet18", 69.75, 70.13),
    "resnet34": ("Resnet34", 73.31, 73.54),
}
_TABLE_5 = {
    "cifar100": ("CIFAR-100", (80.27, 0.33), (80.49, 0.23)),
    "flowers": ("Flowers", (69.78, 0.33), (73.05, 0.12)),
    "pets": ("Pets", (65.52, 1.23), (69.28, 0.42)),
}
# Columns of the fine-grained tables, in this order: CUB-200, Dogs, Flowers, Pets.
_BASELINE: dict[str, tuple[_Cell, ...]] = {
    "resnet18": ((54.00, 1.43), (63.71, 0.32), (57.13, 1.28), (70.37, 0.84)),
    "densenet121": ((57.70, 0.44), (66.61, 0.17), (51.32, 0.57), (70.26, 0.79)),
}
_JPEG_DL: dict[str, tuple[_Cell, ...]] = {
    "resnet18": ((58.81, 0.12), (65.57, 0.37), (68.76, 0.57), (74.84, 0.66)),
    "densenet121": ((61.32, 0.43), (69.67, 0.58), (72.22, 1.05), (75.90, 0.68)),
}
_FINE_GRAINED: dict[int, dict[str, tuple[str, dict[str, tuple[_Cell, ...]]]]] = {
    # table: variant: row in the table, network: cells
    2: {"baseline": ("Baseline", _BASELINE), "jpeg-dl": ("JPEG-DL", _JPEG_DL)},
    6: {
        "baseline": ("Baseline", _BASELINE),
        "uniform-noise": (
            "Ballé et al. (2016)",
            {
                "resnet18": ((50.78, 2.21), (53.47, 7.37), (55.46, 0.59), (56.14, 17.16)),
                "densenet121": ((52.00, 1.41), (60.07, 6.41), (46.60, 2.87), (61.91, 1.88)),
            },
        ),
        "cubic": (
            "Shin & Song (2017)",
            {
                "resnet18": ((55.34, 0.14), (63.03, 0.56), (55.78, 1.44), (71.45, 1.01)),
                "densenet121": ((57.19, 0.78), (66.90, 0.13), (51.04, 0.87), (69.95, 1.21)),
            },
        ),
        "straight-through": (
            "Esser et al. (2019)",
            {
                "resnet18": ((51.58, 0.18), (60.45, 0.23), (58.04, 0.58), (68.81, 0.55)),
                "densenet121": ((56.46, 0.30), (64.89, 0.12), (55.98, 0.24), (69.58, 0.59)),
            },
        ),
        "jpeg-dl": ("JPEG-DL", _JPEG_DL),
    },
    7: {
        "jpeg-dl": ("JPEG-DL (Input Layer)", {"resnet18": _JPEG_DL["resnet18"]}),
        "layer-replacement": (
            "JPEG-DL (1st Conv Layer)",
            {"resnet18": ((59.27, 0.04), (65.33, 0.07), (72.10, 1.46), (76.11, 0.37))},
        ),
    },
    8: {
        "baseline": ("Baseline", _BASELINE),
        "jpeg-quality-1-50": (
            "Rand. QF [1:50]",
            {
                "resnet18": (None, None, None, (69.71, 0.54)),
                "densenet121": ((55.72, 0.72), (64.93, 0.17), None, (68.93, 0.50)),
            },
        ),
        "jpeg-quality-50-100": (
            "Rand. QF [50:100]",
            {
                "resnet18": (None, None, None, (70.00, 0.57)),
                "densenet121": ((56.98, 0.90), (66.97, 0.18), None, (68.63, 0.82)),
            },
        ),
        "jpeg-quality-1-100": (
            "Rand. QF [1:100]",
            {
                "resnet18": (None, None, None, (69.52, 0.62)),
                "densenet121": ((57.20, 0.33), (65.59, 0.54), None, (70.60, 1.05)),
            },
        ),
        "denoise": (
            "Denoising",
            {
                "resnet18": ((54.82, 0.40), (62.52, 0.41), (57.28, 1.06), (69.15, 1.07)),
                "densenet121": ((56.02, 1.00), (66.36, 0.34), (50.37, 0.79), None),
            },
        ),
        "equalize": (
            "Equalization",
            {
                "resnet18": ((49.00, 0.31), (62.38, 0.29), (60.56, 0.98), (73.00, 0.79)),
                "densenet121": ((54.32, 0.57), (67.12, 0.19), (61.72, 0.21), None),
            },
        ),
        "resize": (
            "Learnable Resize",
            {
                "resnet18": ((54.98, 0.19), (63.10, 0.43), (57.41, 0.48), (70.04, 0.72)),
                "densenet121": ((57.35, 0.22), (67.90, 0.32), (51.21, 0.82), (68.83, 1.85)),
            },
        ),
        "jpeg-dl-420": (
            "JPEG-DL (4:2:0)",
            {
                "resnet18": ((58.00, 0.12), (65.57, 0.31), (67.58, 1.50), (74.64, 1.34)),
                "densenet121": ((60.55, 0.71), (68.90, 0.08), (68.01, 1.17), (76.21, 0.35)),
            },
        ),
        "jpeg-dl-422": (
            "JPEG-DL (4:2:2)",
            {
                "resnet18": ((58.11, 0.10), (65.64, 0.16), (67.75, 1.19), (74.81, 0.51)),
                "densenet121": ((61.51, 0.41), (69.85, 0.78), (68.79, 1.08), (76.17, 1.83)),
            },
        ),
        "jpeg-dl": ("JPEG-DL (4:4:4)", _JPEG_DL),
    },
    9: {
        "jpeg-dl": ("0.005", _JPEG_DL),
        "jpeg-dl-rate-0.003": (
            "0.003",
            {
                "resnet18": (None, None, (69.61, 1.16), None),
                "densenet121": (None, None, None, (75.83, 0.64)),
            },
        ),
    },
}


def _collect() -> tuple[Published, ...]:
    cells: list[Published] = []
    for network, (column, baseline, mean, std) in _TABLE_1.items():
        cells += [
            Published(1, f"cifar100-{network}-baseline", "Baseline", column, baseline),
            Published(1, f"cifar100-{network}-jpeg-dl", "JPEG-DL", column, mean, std),
        ]
    for network, (column, baseline, mean) in _TABLE_3.items():
        cells += [
            Published(3, f"imagenet-{network}-baseline", "Baseline", column, baseline),
            Published(3, f"imagenet-{network}-jpeg-dl", "JPEG-DL", column, mean),
        ]
    # In the text below Table 3: a gain of 0.51 with five rounds.
    name = "imagenet-squeezenet1_1-jpeg-dl-5-rounds"
    cells.append(Published(3, name, "JPEG-DL, 5 rounds", "SqueezeNetV1.1", 58.46))
    for dataset, (column, plain, ours) in _TABLE_5.items():
        name = f"{dataset}-efficientformer_l1"
        cells += [
            Published(5, f"{name}-baseline", "Baseline", column, *plain),
            Published(5, f"{name}-jpeg-dl", "JPEG-DL", column, *ours),
        ]
    for table, variants in _FINE_GRAINED.items():
        for variant, (row, networks) in variants.items():
            for network, values in networks.items():
                for dataset, cell in zip(_DATASETS, values, strict=True):
                    cells.append(
                        Published(
                            table,
                            f"{dataset}-{network}-{variant}",
                            f"{_NETWORKS[network]}, {row}",
                            _DATASETS[dataset],
                            *(cell or (None, None)),
                        )
                    )
    return tuple(cells)


PUBLISHED: tuple[Published, ...] = _collect()
"""Every accuracy of the tables, in their order."""
