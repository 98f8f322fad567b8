"""Chainer's `functions`: every name is re-exported here, and nothing else happens. Usually imported as ``F``.

Importing it attaches the operators of `Variable` (`operators`), one of two deliberate registrations by import.
"""

# One import for each room: Ruff would make it one for each name.
# isort: off
import jaxchain.functions.operators  # noqa: F401  (attaches the operators)
from jaxchain.functions.activation import (
    clipped_relu as clipped_relu,
    elu as elu,
    hard_sigmoid as hard_sigmoid,
    leaky_relu as leaky_relu,
    log_softmax as log_softmax,
    relu as relu,
    sigmoid as sigmoid,
    softmax as softmax,
    softplus as softplus,
    tanh as tanh,
)
from jaxchain.functions.arithmetic import absolute as absolute, add as add, matmul as matmul
from jaxchain.functions.arrangement import (
    diagonal as diagonal,
    dstack as dstack,
    flip as flip,
    fliplr as fliplr,
    flipud as flipud,
    hstack as hstack,
    moveaxis as moveaxis,
    pad as pad,
    permutate as permutate,
    repeat as repeat,
    rollaxis as rollaxis,
    tile as tile,
    vstack as vstack,
)
from jaxchain.functions.broadcasting import bias as bias, scale as scale, sum_to as sum_to
from jaxchain.functions.connection import embed_id as embed_id, linear as linear
from jaxchain.functions.connection_more import (
    bilinear as bilinear,
    deformable_convolution_2d_sampler as deformable_convolution_2d_sampler,
    depthwise_convolution_2d as depthwise_convolution_2d,
    dilated_convolution_2d as dilated_convolution_2d,
    local_convolution_2d as local_convolution_2d,
    shift as shift,
)
from jaxchain.functions.convolution import convolution_2d as convolution_2d, deconvolution_2d as deconvolution_2d
from jaxchain.functions.convolution_nd import (
    convolution_1d as convolution_1d,
    convolution_3d as convolution_3d,
    convolution_nd as convolution_nd,
    deconvolution_1d as deconvolution_1d,
    deconvolution_3d as deconvolution_3d,
    deconvolution_nd as deconvolution_nd,
)
from jaxchain.functions.crf import argmax_crf1d as argmax_crf1d, crf1d as crf1d
from jaxchain.functions.ctc import connectionist_temporal_classification as connectionist_temporal_classification
from jaxchain.functions.cumulative import cumprod as cumprod, cumsum as cumsum
from jaxchain.functions.decorrelation import (
    decorrelated_batch_normalization as decorrelated_batch_normalization,
    fixed_decorrelated_batch_normalization as fixed_decorrelated_batch_normalization,
)
from jaxchain.functions.devices import copy as copy
from jaxchain.functions.einstein import einsum as einsum
from jaxchain.functions.elementwise import (
    ceil as ceil,
    clip as clip,
    fix as fix,
    floor as floor,
    fmod as fmod,
    identity as identity,
    linear_interpolate as linear_interpolate,
    maximum as maximum,
    minimum as minimum,
    sign as sign,
    where as where,
)
from jaxchain.functions.evaluation import (
    accuracy as accuracy,
    binary_accuracy as binary_accuracy,
    classification_summary as classification_summary,
    f1_score as f1_score,
    precision as precision,
    r2_score as r2_score,
    recall as recall,
)
from jaxchain.functions.exponential import (
    exp as exp,
    expm1 as expm1,
    log as log,
    log10 as log10,
    log1p as log1p,
    log2 as log2,
    rsqrt as rsqrt,
    sqrt as sqrt,
    square as square,
)
from jaxchain.functions.fourier import fft as fft, ifft as ifft
from jaxchain.functions.images import (
    depth2space as depth2space,
    im2col as im2col,
    resize_images as resize_images,
    space2depth as space2depth,
    spatial_transformer_grid as spatial_transformer_grid,
    spatial_transformer_sampler as spatial_transformer_sampler,
)
from jaxchain.functions.indexing import (
    as_strided as as_strided,
    get_item as get_item,
    scatter_add as scatter_add,
    select_item as select_item,
)
from jaxchain.functions.linalg import (
    batch_det as batch_det,
    batch_inv as batch_inv,
    batch_l2_norm_squared as batch_l2_norm_squared,
    batch_matmul as batch_matmul,
    cholesky as cholesky,
    det as det,
    inv as inv,
    sparse_matmul as sparse_matmul,
    tensordot as tensordot,
)
from jaxchain.functions.loss import (
    absolute_error as absolute_error,
    huber_loss as huber_loss,
    mean_absolute_error as mean_absolute_error,
    mean_squared_error as mean_squared_error,
    sigmoid_cross_entropy as sigmoid_cross_entropy,
    softmax_cross_entropy as softmax_cross_entropy,
    squared_difference as squared_difference,
    squared_error as squared_error,
)
from jaxchain.functions.loss_distance import (
    contrastive as contrastive,
    cross_covariance as cross_covariance,
    decov as decov,
    discriminative_margin_based_clustering_loss as discriminative_margin_based_clustering_loss,
    hinge as hinge,
    triplet as triplet,
)
from jaxchain.functions.loss_likelihood import (
    bernoulli_nll as bernoulli_nll,
    gaussian_kl_divergence as gaussian_kl_divergence,
    gaussian_nll as gaussian_nll,
)
from jaxchain.functions.n_step_recurrent import (
    n_step_bigru as n_step_bigru,
    n_step_bilstm as n_step_bilstm,
    n_step_birnn as n_step_birnn,
    n_step_gru as n_step_gru,
    n_step_lstm as n_step_lstm,
    n_step_rnn as n_step_rnn,
)
from jaxchain.functions.noise import (
    dropout as dropout,
    gaussian as gaussian,
    gumbel_softmax as gumbel_softmax,
    simplified_dropconnect as simplified_dropconnect,
    zoneout as zoneout,
)
from jaxchain.functions.normalization import (
    batch_normalization as batch_normalization,
    batch_normalization_with_statistics as batch_normalization_with_statistics,
    fixed_batch_normalization as fixed_batch_normalization,
    group_normalization as group_normalization,
    layer_normalization as layer_normalization,
    local_response_normalization as local_response_normalization,
    normalize as normalize,
)
from jaxchain.functions.pooling import (
    average_pooling_1d as average_pooling_1d,
    average_pooling_2d as average_pooling_2d,
    average_pooling_3d as average_pooling_3d,
    average_pooling_nd as average_pooling_nd,
    max_pooling_1d as max_pooling_1d,
    max_pooling_2d as max_pooling_2d,
    max_pooling_3d as max_pooling_3d,
    max_pooling_nd as max_pooling_nd,
    spatial_pyramid_pooling_2d as spatial_pyramid_pooling_2d,
)
from jaxchain.functions.recomputation import forget as forget
from jaxchain.functions.rectifiers import (
    crelu as crelu,
    maxout as maxout,
    prelu as prelu,
    relu6 as relu6,
    rrelu as rrelu,
    selu as selu,
    swish as swish,
)
from jaxchain.functions.recurrent import lstm as lstm, slstm as slstm, tree_lstm as tree_lstm
from jaxchain.functions.reduction import (
    argmax as argmax,
    argmin as argmin,
    average as average,
    logsumexp as logsumexp,
    max as max,
    mean as mean,
    min as min,
    prod as prod,
    sum as sum,
)
from jaxchain.functions.renormalization import (
    batch_renormalization as batch_renormalization,
    fixed_batch_renormalization as fixed_batch_renormalization,
)
from jaxchain.functions.roi import (
    roi_average_align_2d as roi_average_align_2d,
    roi_average_pooling_2d as roi_average_pooling_2d,
    roi_max_align_2d as roi_max_align_2d,
    roi_max_pooling_2d as roi_max_pooling_2d,
    roi_pooling_2d as roi_pooling_2d,
)
from jaxchain.functions.sampling import black_out as black_out, negative_sampling as negative_sampling
from jaxchain.functions.sequences import pad_sequence as pad_sequence, transpose_sequence as transpose_sequence
from jaxchain.functions.shape import (
    broadcast as broadcast,
    broadcast_to as broadcast_to,
    cast as cast,
    concat as concat,
    expand_dims as expand_dims,
    flatten as flatten,
    reshape as reshape,
    separate as separate,
    split_axis as split_axis,
    squeeze as squeeze,
    stack as stack,
    swapaxes as swapaxes,
    transpose as transpose,
)
from jaxchain.functions.special import (
    digamma as digamma,
    erf as erf,
    erfc as erfc,
    erfcinv as erfcinv,
    erfcx as erfcx,
    erfinv as erfinv,
    lgamma as lgamma,
    log_ndtr as log_ndtr,
    ndtr as ndtr,
    ndtri as ndtri,
    polygamma as polygamma,
    zeta as zeta,
)
from jaxchain.functions.trigonometry import (
    arccos as arccos,
    arcsin as arcsin,
    arctan as arctan,
    arctan2 as arctan2,
    arctanh as arctanh,
    cos as cos,
    cosh as cosh,
    sin as sin,
    sinh as sinh,
    tan as tan,
)
from jaxchain.functions.unpooling import (
    unpooling_1d as unpooling_1d,
    unpooling_2d as unpooling_2d,
    unpooling_3d as unpooling_3d,
    unpooling_nd as unpooling_nd,
    upsampling_2d as upsampling_2d,
)
