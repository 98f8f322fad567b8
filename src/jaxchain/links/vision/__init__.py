"""Image classifiers of the literature: VGG, ResNet, GoogLeNet, as networks that load weights from an npz file.

Their names, sizes and serialised keys are Chainer's, so a file that real Chainer wrote loads. Weights come with none of
them: with ``pretrained_model="auto"`` a model looks for its file where Chainer keeps it, in the folder
``pfnet/chainer/models`` of the dataset root.
"""

from jaxchain.links.vision.googlenet import GoogLeNet as GoogLeNet
from jaxchain.links.vision.resnet import ResNet50Layers as ResNet50Layers
from jaxchain.links.vision.resnet import ResNet101Layers as ResNet101Layers
from jaxchain.links.vision.resnet import ResNet152Layers as ResNet152Layers
from jaxchain.links.vision.vgg import VGG16Layers as VGG16Layers
from jaxchain.links.vision.vgg import VGG19Layers as VGG19Layers

__all__ = ["GoogLeNet", "ResNet50Layers", "ResNet101Layers", "ResNet152Layers", "VGG16Layers", "VGG19Layers"]
