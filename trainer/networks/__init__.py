"""Networks of the quickstart and of the paper's experiments, and their model with the layer.

All take normalized RGB images (N, 3, H, W) and give logits (N, classes). Each ReLU is a module of
its own and none works in place, so that a hook sees every feature map and a single ReLU can be
replaced (JPEG-DL, section A.7). JPEG-DL, Table 1, trains the CIFAR-sized networks of the code of
CRD (Tian et al., 2020); those here have its structure, parameter counts and initialization.
"""

from trainer.networks.classifier import ImageClassifier, build_model
from trainer.networks.mobilenet import CifarMobileNetV2
from trainer.networks.preact_resnet import PreActResNet18
from trainer.networks.registry import NETWORKS, make_network
from trainer.networks.resnet import CifarResNet
from trainer.networks.shufflenet import CifarShuffleNetV2
from trainer.networks.small import SmallCNN
from trainer.networks.vgg import CifarVGG

__all__ = [
    "NETWORKS",
    "CifarMobileNetV2",
    "CifarResNet",
    "CifarShuffleNetV2",
    "CifarVGG",
    "ImageClassifier",
    "PreActResNet18",
    "SmallCNN",
    "build_model",
    "make_network",
]
