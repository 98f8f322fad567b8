"""Links: layers with parameters. Chainer's names, arguments, initial values and serialised keys."""

from jaxchain.links import caffe as caffe
from jaxchain.links.activation import Maxout as Maxout
from jaxchain.links.activation import PReLU as PReLU
from jaxchain.links.activation import Swish as Swish
from jaxchain.links.bilinear import Bilinear as Bilinear
from jaxchain.links.classifier import Classifier as Classifier
from jaxchain.links.convolution import Convolution2D as Convolution2D
from jaxchain.links.convolution import Deconvolution2D as Deconvolution2D
from jaxchain.links.convolution_nd import Convolution1D as Convolution1D
from jaxchain.links.convolution_nd import Convolution3D as Convolution3D
from jaxchain.links.convolution_nd import ConvolutionND as ConvolutionND
from jaxchain.links.convolution_nd import Deconvolution1D as Deconvolution1D
from jaxchain.links.convolution_nd import Deconvolution3D as Deconvolution3D
from jaxchain.links.convolution_nd import DeconvolutionND as DeconvolutionND
from jaxchain.links.convolution_special import DeformableConvolution2D as DeformableConvolution2D
from jaxchain.links.convolution_special import DepthwiseConvolution2D as DepthwiseConvolution2D
from jaxchain.links.convolution_special import DilatedConvolution2D as DilatedConvolution2D
from jaxchain.links.convolution_special import LocalConvolution2D as LocalConvolution2D
from jaxchain.links.crf import CRF1d as CRF1d
from jaxchain.links.dropconnect import SimplifiedDropconnect as SimplifiedDropconnect
from jaxchain.links.embedding import EmbedID as EmbedID
from jaxchain.links.flax_function import FlaxFunction as FlaxFunction
from jaxchain.links.gru import GRU as GRU
from jaxchain.links.gru import StatefulGRU as StatefulGRU
from jaxchain.links.gru import StatefulMGU as StatefulMGU
from jaxchain.links.gru import StatelessGRU as StatelessGRU
from jaxchain.links.gru import StatelessMGU as StatelessMGU
from jaxchain.links.hierarchical_softmax import BinaryHierarchicalSoftmax as BinaryHierarchicalSoftmax
from jaxchain.links.highway import Highway as Highway
from jaxchain.links.inception import Inception as Inception
from jaxchain.links.inception import InceptionBN as InceptionBN
from jaxchain.links.inception import MLPConvolution2D as MLPConvolution2D
from jaxchain.links.linear import Bias as Bias
from jaxchain.links.linear import Linear as Linear
from jaxchain.links.linear import Scale as Scale
from jaxchain.links.n_step_recurrent import NStepBiGRU as NStepBiGRU
from jaxchain.links.n_step_recurrent import NStepBiLSTM as NStepBiLSTM
from jaxchain.links.n_step_recurrent import NStepBiRNNReLU as NStepBiRNNReLU
from jaxchain.links.n_step_recurrent import NStepBiRNNTanh as NStepBiRNNTanh
from jaxchain.links.n_step_recurrent import NStepGRU as NStepGRU
from jaxchain.links.n_step_recurrent import NStepLSTM as NStepLSTM
from jaxchain.links.n_step_recurrent import NStepRNNReLU as NStepRNNReLU
from jaxchain.links.n_step_recurrent import NStepRNNTanh as NStepRNNTanh
from jaxchain.links.normalization import BatchNormalization as BatchNormalization
from jaxchain.links.normalization import LayerNormalization as LayerNormalization
from jaxchain.links.parameter import Parameter as Parameter
from jaxchain.links.recurrent import LSTM as LSTM
from jaxchain.links.recurrent import StatefulPeepholeLSTM as StatefulPeepholeLSTM
from jaxchain.links.recurrent import StatefulZoneoutLSTM as StatefulZoneoutLSTM
from jaxchain.links.recurrent import StatelessLSTM as StatelessLSTM
from jaxchain.links.renormalization import BatchRenormalization as BatchRenormalization
from jaxchain.links.renormalization import DecorrelatedBatchNormalization as DecorrelatedBatchNormalization
from jaxchain.links.renormalization import GroupNormalization as GroupNormalization
from jaxchain.links.sampling import BlackOut as BlackOut
from jaxchain.links.sampling import NegativeSampling as NegativeSampling
from jaxchain.links.tree_lstm import ChildSumTreeLSTM as ChildSumTreeLSTM
from jaxchain.links.tree_lstm import NaryTreeLSTM as NaryTreeLSTM
from jaxchain.links.vision import GoogLeNet as GoogLeNet
from jaxchain.links.vision import ResNet50Layers as ResNet50Layers
from jaxchain.links.vision import ResNet101Layers as ResNet101Layers
from jaxchain.links.vision import ResNet152Layers as ResNet152Layers
from jaxchain.links.vision import VGG16Layers as VGG16Layers
from jaxchain.links.vision import VGG19Layers as VGG19Layers

__all__ = [
    "GoogLeNet",
    "ResNet50Layers",
    "ResNet101Layers",
    "ResNet152Layers",
    "VGG16Layers",
    "VGG19Layers",
    "Bilinear",
    "Convolution1D",
    "Convolution3D",
    "ConvolutionND",
    "Deconvolution1D",
    "Deconvolution3D",
    "DeconvolutionND",
    "DeformableConvolution2D",
    "DepthwiseConvolution2D",
    "DilatedConvolution2D",
    "LocalConvolution2D",
    "Inception",
    "InceptionBN",
    "MLPConvolution2D",
    "GRU",
    "LSTM",
    "BatchNormalization",
    "BatchRenormalization",
    "Bias",
    "BinaryHierarchicalSoftmax",
    "BlackOut",
    "CRF1d",
    "ChildSumTreeLSTM",
    "Classifier",
    "Convolution2D",
    "Deconvolution2D",
    "DecorrelatedBatchNormalization",
    "EmbedID",
    "FlaxFunction",
    "GroupNormalization",
    "Highway",
    "LayerNormalization",
    "Linear",
    "Maxout",
    "NStepBiGRU",
    "NStepBiLSTM",
    "NStepBiRNNReLU",
    "NStepBiRNNTanh",
    "NStepGRU",
    "NStepLSTM",
    "NStepRNNReLU",
    "NStepRNNTanh",
    "NaryTreeLSTM",
    "NegativeSampling",
    "PReLU",
    "Parameter",
    "Scale",
    "SimplifiedDropconnect",
    "StatefulGRU",
    "StatefulMGU",
    "StatefulPeepholeLSTM",
    "StatefulZoneoutLSTM",
    "StatelessGRU",
    "StatelessLSTM",
    "StatelessMGU",
    "Swish",
]
