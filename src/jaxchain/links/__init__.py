"""Links: layers with parameters. Chainer's names, arguments, initial values and serialised keys."""

from jaxchain.links.activation import Maxout as Maxout
from jaxchain.links.activation import PReLU as PReLU
from jaxchain.links.activation import Swish as Swish
from jaxchain.links.classifier import Classifier as Classifier
from jaxchain.links.convolution import Convolution2D as Convolution2D
from jaxchain.links.convolution import Deconvolution2D as Deconvolution2D
from jaxchain.links.embedding import EmbedID as EmbedID
from jaxchain.links.linear import Bias as Bias
from jaxchain.links.linear import Linear as Linear
from jaxchain.links.linear import Parameter as Parameter
from jaxchain.links.linear import Scale as Scale
from jaxchain.links.n_step_recurrent import NStepLSTM as NStepLSTM
from jaxchain.links.normalization import BatchNormalization as BatchNormalization
from jaxchain.links.normalization import LayerNormalization as LayerNormalization
from jaxchain.links.recurrent import LSTM as LSTM
from jaxchain.links.recurrent import StatelessLSTM as StatelessLSTM

__all__ = [
    "LSTM",
    "BatchNormalization",
    "Bias",
    "Classifier",
    "Convolution2D",
    "Deconvolution2D",
    "EmbedID",
    "LayerNormalization",
    "Linear",
    "Maxout",
    "NStepLSTM",
    "PReLU",
    "Parameter",
    "Scale",
    "StatelessLSTM",
    "Swish",
]
