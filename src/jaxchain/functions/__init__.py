"""Chainer's `functions`: every name is re-exported here, and nothing else happens. Usually imported as ``F``.

Importing it attaches the operators of `Variable` (`operators`), one of two deliberate registrations by import.
"""

import jaxchain.functions.operators  # noqa: F401  (attaches the operators)
from jaxchain.functions.activation import (
    clipped_relu as clipped_relu,
)
from jaxchain.functions.activation import (
    elu as elu,
)
from jaxchain.functions.activation import (
    hard_sigmoid as hard_sigmoid,
)
from jaxchain.functions.activation import (
    leaky_relu as leaky_relu,
)
from jaxchain.functions.activation import (
    log_softmax as log_softmax,
)
from jaxchain.functions.activation import (
    relu as relu,
)
from jaxchain.functions.activation import (
    sigmoid as sigmoid,
)
from jaxchain.functions.activation import (
    softmax as softmax,
)
from jaxchain.functions.activation import (
    softplus as softplus,
)
from jaxchain.functions.activation import (
    tanh as tanh,
)
from jaxchain.functions.arithmetic import (
    absolute as absolute,
)
from jaxchain.functions.arithmetic import (
    add as add,
)
from jaxchain.functions.arithmetic import (
    matmul as matmul,
)
from jaxchain.functions.arrangement import (
    diagonal as diagonal,
)
from jaxchain.functions.arrangement import (
    dstack as dstack,
)
from jaxchain.functions.arrangement import (
    flip as flip,
)
from jaxchain.functions.arrangement import (
    fliplr as fliplr,
)
from jaxchain.functions.arrangement import (
    flipud as flipud,
)
from jaxchain.functions.arrangement import (
    hstack as hstack,
)
from jaxchain.functions.arrangement import (
    moveaxis as moveaxis,
)
from jaxchain.functions.arrangement import (
    pad as pad,
)
from jaxchain.functions.arrangement import (
    permutate as permutate,
)
from jaxchain.functions.arrangement import (
    repeat as repeat,
)
from jaxchain.functions.arrangement import (
    rollaxis as rollaxis,
)
from jaxchain.functions.arrangement import (
    tile as tile,
)
from jaxchain.functions.arrangement import (
    vstack as vstack,
)
from jaxchain.functions.broadcasting import (
    bias as bias,
)
from jaxchain.functions.broadcasting import (
    scale as scale,
)
from jaxchain.functions.broadcasting import (
    sum_to as sum_to,
)
from jaxchain.functions.connection import (
    embed_id as embed_id,
)
from jaxchain.functions.connection import (
    linear as linear,
)
from jaxchain.functions.connection_more import (
    bilinear as bilinear,
)
from jaxchain.functions.connection_more import (
    deformable_convolution_2d_sampler as deformable_convolution_2d_sampler,
)
from jaxchain.functions.connection_more import (
    depthwise_convolution_2d as depthwise_convolution_2d,
)
from jaxchain.functions.connection_more import (
    dilated_convolution_2d as dilated_convolution_2d,
)
from jaxchain.functions.connection_more import (
    local_convolution_2d as local_convolution_2d,
)
from jaxchain.functions.connection_more import (
    shift as shift,
)
from jaxchain.functions.convolution import (
    convolution_2d as convolution_2d,
)
from jaxchain.functions.convolution import (
    deconvolution_2d as deconvolution_2d,
)
from jaxchain.functions.convolution_nd import (
    convolution_1d as convolution_1d,
)
from jaxchain.functions.convolution_nd import (
    convolution_3d as convolution_3d,
)
from jaxchain.functions.convolution_nd import (
    convolution_nd as convolution_nd,
)
from jaxchain.functions.convolution_nd import (
    deconvolution_1d as deconvolution_1d,
)
from jaxchain.functions.convolution_nd import (
    deconvolution_3d as deconvolution_3d,
)
from jaxchain.functions.convolution_nd import (
    deconvolution_nd as deconvolution_nd,
)
from jaxchain.functions.crf import (
    argmax_crf1d as argmax_crf1d,
)
from jaxchain.functions.crf import (
    crf1d as crf1d,
)
from jaxchain.functions.ctc import (
    connectionist_temporal_classification as connectionist_temporal_classification,
)
from jaxchain.functions.cumulative import (
    cumprod as cumprod,
)
from jaxchain.functions.cumulative import (
    cumsum as cumsum,
)
from jaxchain.functions.decorrelation import (
    decorrelated_batch_normalization as decorrelated_batch_normalization,
)
from jaxchain.functions.decorrelation import (
    fixed_decorrelated_batch_normalization as fixed_decorrelated_batch_normalization,
)
from jaxchain.functions.devices import (
    copy as copy,
)
from jaxchain.functions.einstein import (
    einsum as einsum,
)
from jaxchain.functions.elementwise import (
    ceil as ceil,
)
from jaxchain.functions.elementwise import (
    clip as clip,
)
from jaxchain.functions.elementwise import (
    fix as fix,
)
from jaxchain.functions.elementwise import (
    floor as floor,
)
from jaxchain.functions.elementwise import (
    fmod as fmod,
)
from jaxchain.functions.elementwise import (
    identity as identity,
)
from jaxchain.functions.elementwise import (
    linear_interpolate as linear_interpolate,
)
from jaxchain.functions.elementwise import (
    maximum as maximum,
)
from jaxchain.functions.elementwise import (
    minimum as minimum,
)
from jaxchain.functions.elementwise import (
    sign as sign,
)
from jaxchain.functions.elementwise import (
    where as where,
)
from jaxchain.functions.evaluation import (
    accuracy as accuracy,
)
from jaxchain.functions.evaluation import (
    binary_accuracy as binary_accuracy,
)
from jaxchain.functions.evaluation import (
    classification_summary as classification_summary,
)
from jaxchain.functions.evaluation import (
    f1_score as f1_score,
)
from jaxchain.functions.evaluation import (
    precision as precision,
)
from jaxchain.functions.evaluation import (
    r2_score as r2_score,
)
from jaxchain.functions.evaluation import (
    recall as recall,
)
from jaxchain.functions.exponential import (
    exp as exp,
)
from jaxchain.functions.exponential import (
    expm1 as expm1,
)
from jaxchain.functions.exponential import (
    log as log,
)
from jaxchain.functions.exponential import (
    log1p as log1p,
)
from jaxchain.functions.exponential import (
    log2 as log2,
)
from jaxchain.functions.exponential import (
    log10 as log10,
)
from jaxchain.functions.exponential import (
    rsqrt as rsqrt,
)
from jaxchain.functions.exponential import (
    sqrt as sqrt,
)
from jaxchain.functions.exponential import (
    square as square,
)
from jaxchain.functions.fourier import (
    fft as fft,
)
from jaxchain.functions.fourier import (
    ifft as ifft,
)
from jaxchain.functions.images import (
    depth2space as depth2space,
)
from jaxchain.functions.images import (
    im2col as im2col,
)
from jaxchain.functions.images import (
    resize_images as resize_images,
)
from jaxchain.functions.images import (
    space2depth as space2depth,
)
from jaxchain.functions.images import (
    spatial_transformer_grid as spatial_transformer_grid,
)
from jaxchain.functions.images import (
    spatial_transformer_sampler as spatial_transformer_sampler,
)
from jaxchain.functions.indexing import (
    as_strided as as_strided,
)
from jaxchain.functions.indexing import (
    get_item as get_item,
)
from jaxchain.functions.indexing import (
    scatter_add as scatter_add,
)
from jaxchain.functions.indexing import (
    select_item as select_item,
)
from jaxchain.functions.linalg import (
    batch_det as batch_det,
)
from jaxchain.functions.linalg import (
    batch_inv as batch_inv,
)
from jaxchain.functions.linalg import (
    batch_l2_norm_squared as batch_l2_norm_squared,
)
from jaxchain.functions.linalg import (
    batch_matmul as batch_matmul,
)
from jaxchain.functions.linalg import (
    cholesky as cholesky,
)
from jaxchain.functions.linalg import (
    det as det,
)
from jaxchain.functions.linalg import (
    inv as inv,
)
from jaxchain.functions.linalg import (
    sparse_matmul as sparse_matmul,
)
from jaxchain.functions.linalg import (
    tensordot as tensordot,
)
from jaxchain.functions.loss import (
    absolute_error as absolute_error,
)
from jaxchain.functions.loss import (
    huber_loss as huber_loss,
)
from jaxchain.functions.loss import (
    mean_absolute_error as mean_absolute_error,
)
from jaxchain.functions.loss import (
    mean_squared_error as mean_squared_error,
)
from jaxchain.functions.loss import (
    sigmoid_cross_entropy as sigmoid_cross_entropy,
)
from jaxchain.functions.loss import (
    softmax_cross_entropy as softmax_cross_entropy,
)
from jaxchain.functions.loss import (
    squared_difference as squared_difference,
)
from jaxchain.functions.loss import (
    squared_error as squared_error,
)
from jaxchain.functions.loss_distance import (
    contrastive as contrastive,
)
from jaxchain.functions.loss_distance import (
    cross_covariance as cross_covariance,
)
from jaxchain.functions.loss_distance import (
    decov as decov,
)
from jaxchain.functions.loss_distance import (
    discriminative_margin_based_clustering_loss as discriminative_margin_based_clustering_loss,
)
from jaxchain.functions.loss_distance import (
    hinge as hinge,
)
from jaxchain.functions.loss_distance import (
    triplet as triplet,
)
from jaxchain.functions.loss_likelihood import (
    bernoulli_nll as bernoulli_nll,
)
from jaxchain.functions.loss_likelihood import (
    gaussian_kl_divergence as gaussian_kl_divergence,
)
from jaxchain.functions.loss_likelihood import (
    gaussian_nll as gaussian_nll,
)
from jaxchain.functions.n_step_recurrent import (
    n_step_bigru as n_step_bigru,
)
from jaxchain.functions.n_step_recurrent import (
    n_step_bilstm as n_step_bilstm,
)
from jaxchain.functions.n_step_recurrent import (
    n_step_birnn as n_step_birnn,
)
from jaxchain.functions.n_step_recurrent import (
    n_step_gru as n_step_gru,
)
from jaxchain.functions.n_step_recurrent import (
    n_step_lstm as n_step_lstm,
)
from jaxchain.functions.n_step_recurrent import (
    n_step_rnn as n_step_rnn,
)
from jaxchain.functions.noise import (
    dropout as dropout,
)
from jaxchain.functions.noise import (
    gaussian as gaussian,
)
from jaxchain.functions.noise import (
    gumbel_softmax as gumbel_softmax,
)
from jaxchain.functions.noise import (
    simplified_dropconnect as simplified_dropconnect,
)
from jaxchain.functions.noise import (
    zoneout as zoneout,
)
from jaxchain.functions.normalization import (
    batch_normalization as batch_normalization,
)
from jaxchain.functions.normalization import (
    batch_normalization_with_statistics as batch_normalization_with_statistics,
)
from jaxchain.functions.normalization import (
    fixed_batch_normalization as fixed_batch_normalization,
)
from jaxchain.functions.normalization import (
    group_normalization as group_normalization,
)
from jaxchain.functions.normalization import (
    layer_normalization as layer_normalization,
)
from jaxchain.functions.normalization import (
    local_response_normalization as local_response_normalization,
)
from jaxchain.functions.normalization import (
    normalize as normalize,
)
from jaxchain.functions.pooling import (
    average_pooling_1d as average_pooling_1d,
)
from jaxchain.functions.pooling import (
    average_pooling_2d as average_pooling_2d,
)
from jaxchain.functions.pooling import (
    average_pooling_3d as average_pooling_3d,
)
from jaxchain.functions.pooling import (
    average_pooling_nd as average_pooling_nd,
)
from jaxchain.functions.pooling import (
    max_pooling_1d as max_pooling_1d,
)
from jaxchain.functions.pooling import (
    max_pooling_2d as max_pooling_2d,
)
from jaxchain.functions.pooling import (
    max_pooling_3d as max_pooling_3d,
)
from jaxchain.functions.pooling import (
    max_pooling_nd as max_pooling_nd,
)
from jaxchain.functions.pooling import (
    spatial_pyramid_pooling_2d as spatial_pyramid_pooling_2d,
)
from jaxchain.functions.recomputation import (
    forget as forget,
)
from jaxchain.functions.rectifiers import (
    crelu as crelu,
)
from jaxchain.functions.rectifiers import (
    maxout as maxout,
)
from jaxchain.functions.rectifiers import (
    prelu as prelu,
)
from jaxchain.functions.rectifiers import (
    relu6 as relu6,
)
from jaxchain.functions.rectifiers import (
    rrelu as rrelu,
)
from jaxchain.functions.rectifiers import (
    selu as selu,
)
from jaxchain.functions.rectifiers import (
    swish as swish,
)
from jaxchain.functions.recurrent import (
    lstm as lstm,
)
from jaxchain.functions.recurrent import (
    slstm as slstm,
)
from jaxchain.functions.recurrent import (
    tree_lstm as tree_lstm,
)
from jaxchain.functions.reduction import (
    argmax as argmax,
)
from jaxchain.functions.reduction import (
    argmin as argmin,
)
from jaxchain.functions.reduction import (
    average as average,
)
from jaxchain.functions.reduction import (
    logsumexp as logsumexp,
)
from jaxchain.functions.reduction import (
    max as max,
)
from jaxchain.functions.reduction import (
    mean as mean,
)
from jaxchain.functions.reduction import (
    min as min,
)
from jaxchain.functions.reduction import (
    prod as prod,
)
from jaxchain.functions.reduction import (
    sum as sum,
)
from jaxchain.functions.renormalization import (
    batch_renormalization as batch_renormalization,
)
from jaxchain.functions.renormalization import (
    fixed_batch_renormalization as fixed_batch_renormalization,
)
from jaxchain.functions.roi import (
    roi_average_align_2d as roi_average_align_2d,
)
from jaxchain.functions.roi import (
    roi_average_pooling_2d as roi_average_pooling_2d,
)
from jaxchain.functions.roi import (
    roi_max_align_2d as roi_max_align_2d,
)
from jaxchain.functions.roi import (
    roi_max_pooling_2d as roi_max_pooling_2d,
)
from jaxchain.functions.roi import (
    roi_pooling_2d as roi_pooling_2d,
)
from jaxchain.functions.sampling import (
    black_out as black_out,
)
from jaxchain.functions.sampling import (
    negative_sampling as negative_sampling,
)
from jaxchain.functions.sequences import (
    pad_sequence as pad_sequence,
)
from jaxchain.functions.sequences import (
    transpose_sequence as transpose_sequence,
)
from jaxchain.functions.shape import (
    broadcast as broadcast,
)
from jaxchain.functions.shape import (
    broadcast_to as broadcast_to,
)
from jaxchain.functions.shape import (
    cast as cast,
)
from jaxchain.functions.shape import (
    concat as concat,
)
from jaxchain.functions.shape import (
    expand_dims as expand_dims,
)
from jaxchain.functions.shape import (
    flatten as flatten,
)
from jaxchain.functions.shape import (
    reshape as reshape,
)
from jaxchain.functions.shape import (
    separate as separate,
)
from jaxchain.functions.shape import (
    split_axis as split_axis,
)
from jaxchain.functions.shape import (
    squeeze as squeeze,
)
from jaxchain.functions.shape import (
    stack as stack,
)
from jaxchain.functions.shape import (
    swapaxes as swapaxes,
)
from jaxchain.functions.shape import (
    transpose as transpose,
)
from jaxchain.functions.special import (
    digamma as digamma,
)
from jaxchain.functions.special import (
    erf as erf,
)
from jaxchain.functions.special import (
    erfc as erfc,
)
from jaxchain.functions.special import (
    erfcinv as erfcinv,
)
from jaxchain.functions.special import (
    erfcx as erfcx,
)
from jaxchain.functions.special import (
    erfinv as erfinv,
)
from jaxchain.functions.special import (
    lgamma as lgamma,
)
from jaxchain.functions.special import (
    log_ndtr as log_ndtr,
)
from jaxchain.functions.special import (
    ndtr as ndtr,
)
from jaxchain.functions.special import (
    ndtri as ndtri,
)
from jaxchain.functions.special import (
    polygamma as polygamma,
)
from jaxchain.functions.special import (
    zeta as zeta,
)
from jaxchain.functions.trigonometry import (
    arccos as arccos,
)
from jaxchain.functions.trigonometry import (
    arcsin as arcsin,
)
from jaxchain.functions.trigonometry import (
    arctan as arctan,
)
from jaxchain.functions.trigonometry import (
    arctan2 as arctan2,
)
from jaxchain.functions.trigonometry import (
    arctanh as arctanh,
)
from jaxchain.functions.trigonometry import (
    cos as cos,
)
from jaxchain.functions.trigonometry import (
    cosh as cosh,
)
from jaxchain.functions.trigonometry import (
    sin as sin,
)
from jaxchain.functions.trigonometry import (
    sinh as sinh,
)
from jaxchain.functions.trigonometry import (
    tan as tan,
)
from jaxchain.functions.unpooling import (
    unpooling_1d as unpooling_1d,
)
from jaxchain.functions.unpooling import (
    unpooling_2d as unpooling_2d,
)
from jaxchain.functions.unpooling import (
    unpooling_3d as unpooling_3d,
)
from jaxchain.functions.unpooling import (
    unpooling_nd as unpooling_nd,
)
from jaxchain.functions.unpooling import (
    upsampling_2d as upsampling_2d,
)
