"""What functions.py measures: one call for each function of F, at a small and at a realistic size.

Plain NumPy: chainer_worker.py reads it in Chainer's own environment. A call is an expression in F (jaxchain's or
Chainer's) and one in torch and tF (torch.nn.functional), or "" where PyTorch has no such function.
"""

import numpy as np

SIZES = ("small", "realistic")


class A:
    """An input: its two shapes, the interval of its values, integers if `below` says so. `grad`: differentiated."""

    def __init__(self, small, realistic, low=-1.0, high=1.0, below=None, grad=True):
        self.shapes = {"small": small, "realistic": realistic}
        self.low, self.high, self.below = low, high, below
        self.grad = grad and below is None

    def make(self, size, rng):
        shape = self.shapes[size]
        if self.below is not None:
            below = self.below if isinstance(self.below, int) else self.below[SIZES.index(size)]
            return rng.randint(0, below, shape).astype(np.int32)
        return rng.uniform(self.low, self.high, shape).astype(np.float32)


FLAT = ((10, 10), (256, 1024))
X = A(*FLAT)
POSITIVE = A(*FLAT, 0.2, 3.0)
INSIDE = A(*FLAT, -0.9, 0.9)
PROBABILITY = A(*FLAT, 0.1, 0.9)
LABELS = A((10,), (256,), below=(10, 1000))
ROW = A((10,), (1024,))
IMAGE = A((1, 4, 8, 8), (8, 64, 28, 28))
SIGNAL = A((1, 4, 16), (8, 64, 512))
VOLUME = A((1, 4, 4, 4, 4), (2, 16, 16, 16, 16))
CHANNELS = A((4,), (64,), 0.5, 1.5)
MATRIX = A((4, 4), (128, 128))
MATRICES = A((2, 4, 4), (64, 32, 32))
WEIGHTS = {1: A((4, 4, 3), (64, 64, 3)), 2: A((4, 4, 3, 3), (64, 64, 3, 3)), 3: A((4, 4, 3, 3, 3), (16, 16, 3, 3, 3))}
INPUTS = {1: SIGNAL, 2: IMAGE, 3: VOLUME}
ROIS = A((2, 4), (64, 4), 0.0, 7.0, grad=False)
WHERE = A((2,), (64,), below=(1, 8))
STATE = A((2, 8), (32, 256))
EYE = "3 * np.eye(x.shape[-1], dtype='float32')"
POSITIVE_DEFINITE = "F.matmul(x, x, transb=True) + np.eye(x.shape[-1], dtype='float32')"

CASES = {}  # name: (expression in F, expression in torch, {input: A})


def case(expression, torch="", /, name=None, **inputs):
    CASES[name or expression.split("F.")[1].split("(")[0]] = (expression, torch, inputs)


def simple(names, x, prefix="torch."):
    """Functions of one array that PyTorch has under the same name, or under the one after the colon."""
    for name, _, other in (word.partition(":") for word in names.split()):
        case(f"F.{name}(x)", "" if other == "-" else f"{prefix}{other or name}(x)", x=x)


# activation
simple("relu relu6 elu selu leaky_relu softplus", X, "tF.")
simple("sigmoid tanh", X)
simple("crelu:-", X)
case("F.clipped_relu(x)", "torch.clamp(x, 0, 20)", x=X)
case("F.hard_sigmoid(x)", "torch.clamp(x * 0.2 + 0.5, 0, 1)", x=X)
case("F.softmax(x)", "torch.softmax(x, 1)", x=X)
case("F.log_softmax(x)", "torch.log_softmax(x, 1)", x=X)
case("F.maxout(x, 2)", "", x=X)
case("F.prelu(x, w)", "tF.prelu(x, w)", x=X, w=ROW)
case("F.rrelu(x)", "tF.rrelu(x, training=True)", x=X)
case("F.swish(x, w)", "x * torch.sigmoid(x * w)", x=X, w=ROW)

# math
simple("absolute:abs arctan cos cosh erf erfc erfcx:special.erfcx exp expm1 sin sinh square tan", X)
simple("log_ndtr:special.log_ndtr ndtr:special.ndtr ceil floor fix:trunc sign identity:-", X)
simple("digamma lgamma log log10 log1p log2 rsqrt sqrt", POSITIVE)
simple("arccos arcsin arctanh erfinv", INSIDE)
simple("ndtri:special.ndtri erfcinv:-", PROBABILITY)
case("F.arctan2(x, y)", "torch.arctan2(x, y)", x=X, y=POSITIVE)
case("F.maximum(x, y)", "torch.maximum(x, y)", x=X, y=INSIDE)
case("F.minimum(x, y)", "torch.minimum(x, y)", x=X, y=INSIDE)
case("F.add(x, y)", "torch.add(x, y)", x=X, y=INSIDE)
case("F.fmod(x, y)", "torch.fmod(x, y)", x=X, y=POSITIVE)
case("F.clip(x, -0.5, 0.5)", "torch.clamp(x, -0.5, 0.5)", x=X)
case("F.linear_interpolate(p, x, y)", "torch.lerp(y, x, p)", p=PROBABILITY, x=X, y=INSIDE)
case("F.polygamma(np.ones(x.shape, 'int32'), x)", "torch.polygamma(1, x)", x=POSITIVE)
case("F.zeta(2.0, x)", "", x=POSITIVE)
simple("sum mean average:mean prod", A(*FLAT, 0.9, 1.1))
simple("max min", X)
simple("argmax argmin", X)
case("F.logsumexp(x, axis=1)", "torch.logsumexp(x, 1)", x=X)
case("F.cumsum(x, axis=1)", "torch.cumsum(x, 1)", x=X)
case("F.cumprod(x, axis=1)", "torch.cumprod(x, 1)", x=A(*FLAT, 0.9, 1.1))
case("F.sum_to(x, (1, x.shape[1]))", "x.sum(0, keepdim=True)", x=X)
case("F.bias(x, w)", "x + w", x=X, w=ROW)
case("F.scale(x, w)", "x * w", x=X, w=ROW)
case("F.batch_l2_norm_squared(x)", "x.square().sum(1)", x=X)
case("F.matmul(x, y)", "torch.matmul(x, y)", x=A((8, 8), (256, 256)), y=A((8, 8), (256, 256)))
case("F.batch_matmul(x, y)", "torch.bmm(x, y)", x=MATRICES, y=MATRICES)
case("F.tensordot(x, y, axes=1)", "torch.tensordot(x, y, 1)", x=MATRICES, y=A((4, 4), (32, 32)))
case("F.einsum('ij,jk->ik', x, y)", "torch.einsum('ij,jk->ik', x, y)", x=MATRIX, y=MATRIX)
case(f"F.inv(x + {EYE})", "torch.linalg.inv(x + eye)", x=MATRIX)
case(f"F.batch_inv(x + {EYE})", "torch.linalg.inv(x + eye)", x=MATRICES)
case("F.det(x)", "torch.linalg.det(x)", x=MATRIX)
case("F.batch_det(x)", "torch.linalg.det(x)", x=MATRICES)
case(f"F.cholesky({POSITIVE_DEFINITE})", "torch.linalg.cholesky(x @ x.T + eye)", name="cholesky", x=MATRIX)
case("F.fft((x, y))", "torch.view_as_real(torch.fft.fft(torch.complex(x, y)))", x=X, y=X)
case("F.ifft((x, y))", "torch.view_as_real(torch.fft.ifft(torch.complex(x, y)))", x=X, y=X)
case(
    "F.sparse_matmul(utils.CooMatrix(v.array, i, i, (10 * len(i), len(x)), 'C'), x)",
    v=A((4,), (1000,)), i=A((4,), (1000,), below=(4, 1000)), x=A((4, 8), (1000, 64)),
)  # fmt: skip

# array
case("F.reshape(x, (-1,))", "x.reshape(-1)", x=X)
case("F.flatten(x)", "x.flatten()", x=X)
case("F.transpose(x)", "x.T.contiguous()", x=X)
case("F.swapaxes(x, 0, 1)", "x.swapaxes(0, 1).contiguous()", x=X)
case("F.moveaxis(x, 0, 1)", "x.moveaxis(0, 1).contiguous()", x=X)
case("F.rollaxis(x, 1)", "x.moveaxis(1, 0).contiguous()", x=X)
case("F.expand_dims(x, 0)", "x[None]", x=X)
case("F.squeeze(x)", "x.squeeze()", x=A((1, 10, 10), (1, 256, 1024)))
case("F.broadcast(x, y)", "torch.broadcast_tensors(x, y)", x=X, y=ROW)
case("F.broadcast_to(y, (256, y.shape[0]))", "y.expand(256, -1).contiguous()", y=ROW)
case("F.cast(x, 'float16')", "x.half()", x=X)
case("F.concat([x, y])", "torch.cat([x, y], 1)", x=X, y=X)
case("F.copy(x, -1)", "x.clone()", x=X)
case("F.hstack([x, y])", "torch.hstack([x, y])", x=X, y=X)
case("F.vstack([x, y])", "torch.vstack([x, y])", x=X, y=X)
case("F.dstack([x, y])", "torch.dstack([x, y])", x=X, y=X)
case("F.stack([x, y])", "torch.stack([x, y])", x=X, y=X)
case("F.split_axis(x, 2, 1)", "torch.split(x, x.shape[1] // 2, 1)", x=X)
case("F.separate(x)", "torch.unbind(x)", x=A((4, 10), (16, 16384)))
case("F.get_item(x, slice(1, 9))", "x[1:9].clone()", x=X)
case("F.where(x.array > 0, x, y)", "torch.where(x > 0, x, y)", x=X, y=X)
case("F.diagonal(x)", "torch.diagonal(x)", x=X)
case("F.flip(x, 1)", "torch.flip(x, [1])", x=X)
simple("fliplr flipud", X)
case("F.repeat(x, 2, 1)", "torch.repeat_interleave(x, 2, 1)", x=X)
case("F.tile(x, (2, 2))", "torch.tile(x, (2, 2))", x=X)
case("F.pad(x, 2, 'constant')", "tF.pad(x, (2, 2, 2, 2))", x=X)
case("F.pad_sequence([x, y])", "torch.nn.utils.rnn.pad_sequence([x, y], True)", x=ROW, y=A((5,), (512,)))
case("F.transpose_sequence([x, y])", "", x=A((4, 8), (16, 512)), y=A((3, 8), (12, 512)))
case("F.permutate(x, np.arange(len(x))[::-1].astype('int32').copy())", "", x=X)
case("F.select_item(x, t)", "x.gather(1, t.long()[:, None])[:, 0]", x=A((10, 10), (256, 1000)), t=LABELS)
case("F.scatter_add(x, slice(0, 10), y)", "", x=X, y=A((10, 10), (10, 1024)))
case("F.as_strided(x, (4, 4), (4, 1))", "torch.as_strided(x, (4, 4), (4, 1)).clone()", x=X)
case("F.depth2space(x, 2)", "tF.pixel_shuffle(x, 2)", x=IMAGE)
case("F.space2depth(x, 2)", "tF.pixel_unshuffle(x, 2)", x=IMAGE)
case("F.im2col(x, 3)", "tF.unfold(x, 3)", x=IMAGE)
case("F.resize_images(x, (12, 12))", "tF.interpolate(x, (12, 12), mode='bilinear', align_corners=True)", x=IMAGE)
THETA = A((1, 2, 3), (8, 2, 3))
case("F.spatial_transformer_grid(x, (8, 8))", "tF.affine_grid(x, (len(x), 1, 8, 8), align_corners=True)", x=THETA)
case(
    "F.spatial_transformer_sampler(x, g)",
    "tF.grid_sample(x, g.permute(0, 2, 3, 1), align_corners=True)",
    x=IMAGE, g=A((1, 2, 8, 8), (8, 2, 28, 28)),
)  # fmt: skip

# connection
case("F.linear(x, w, b)", "tF.linear(x, w, b)", x=A(*FLAT), w=A((10, 10), (256, 1024)), b=A((10,), (256,)))
BILINEAR = {"x": A((4, 5), (32, 64)), "y": A((4, 6), (32, 64)), "w": A((5, 6, 3), (64, 64, 32))}
case("F.bilinear(x, y, w)", "tF.bilinear(x, y, w.permute(2, 0, 1))", **BILINEAR)
case("F.embed_id(t, w)", "tF.embedding(t, w)", t=A((10,), (256,), below=(10, 1000)), w=A((10, 8), (1000, 256)))
for n in (1, 2, 3):
    case(f"F.convolution_{n}d(x, w, pad=1)", f"tF.conv{n}d(x, w, padding=1)", x=INPUTS[n], w=WEIGHTS[n])
    case(f"F.deconvolution_{n}d(x, w, pad=1)", f"tF.conv_transpose{n}d(x, w, padding=1)", x=INPUTS[n], w=WEIGHTS[n])
    case(f"F.max_pooling_{n}d(x, 2)", f"tF.max_pool{n}d(x, 2)", x=INPUTS[n])
    case(f"F.average_pooling_{n}d(x, 2)", f"tF.avg_pool{n}d(x, 2)", x=INPUTS[n])
    case(f"F.unpooling_{n}d(x, 2, cover_all=False)", "", x=INPUTS[n])
case("F.convolution_nd(x, w, pad=1)", "tF.conv2d(x, w, padding=1)", x=IMAGE, w=WEIGHTS[2])
case("F.deconvolution_nd(x, w, pad=1)", "tF.conv_transpose2d(x, w, padding=1)", x=IMAGE, w=WEIGHTS[2])
case("F.dilated_convolution_2d(x, w, pad=2, dilate=2)", "tF.conv2d(x, w, padding=2, dilation=2)", x=IMAGE, w=WEIGHTS[2])
DEPTHWISE = A((1, 4, 3, 3), (1, 64, 3, 3))
case(
    "F.depthwise_convolution_2d(x, w, pad=1)",
    "tF.conv2d(x, w.permute(1, 0, 2, 3), padding=1, groups=x.shape[1])",
    x=IMAGE, w=DEPTHWISE,
)  # fmt: skip
LOCAL = A((4, 6, 6, 4, 3, 3), (4, 12, 12, 16, 3, 3))
case("F.local_convolution_2d(x, w)", "", x=A((1, 4, 8, 8), (8, 16, 14, 14)), w=LOCAL)
case(
    "F.deformable_convolution_2d_sampler(x, o, w, pad=1)", "",
    x=A((1, 4, 8, 8), (2, 16, 14, 14)), o=A((1, 18, 8, 8), (2, 18, 14, 14)), w=A((4, 4, 3, 3), (16, 16, 3, 3)),
)  # fmt: skip
case("F.shift(x)", "", x=A((1, 9, 8, 8), (8, 63, 28, 28)))

# pooling
case("F.max_pooling_nd(x, 2)", "tF.max_pool2d(x, 2)", x=IMAGE)
case("F.average_pooling_nd(x, 2)", "tF.avg_pool2d(x, 2)", x=IMAGE)
case("F.unpooling_nd(x, 2, cover_all=False)", "", x=IMAGE)
case(
    "F.upsampling_2d(x, np.zeros(x.shape, 'int32'), 2, cover_all=False)",
    "", x=A((1, 4, 4, 4), (8, 64, 14, 14)),
)  # fmt: skip
case("F.spatial_pyramid_pooling_2d(x, 3)", "", x=IMAGE)
case(
    "F.roi_pooling_2d(x, np.concatenate([i[:, None], r], 1).astype('float32'), 3, 3, 1.0)",
    "", x=IMAGE, r=ROIS, i=WHERE,
)  # fmt: skip
for n in ("roi_max_pooling_2d", "roi_average_pooling_2d", "roi_max_align_2d", "roi_average_align_2d"):
    case(f"F.{n}(x, r, i, 3, 1.0)", "", x=IMAGE, r=ROIS, i=WHERE)

# normalization
case("F.batch_normalization(x, g, b)", "tF.batch_norm(x, None, None, g, b, True)", x=IMAGE, g=CHANNELS, b=CHANNELS)
FIXED = {"x": IMAGE, "g": CHANNELS, "b": CHANNELS, "m": CHANNELS, "v": CHANNELS}
case("F.fixed_batch_normalization(x, g, b, m, v)", "tF.batch_norm(x, m.detach(), v.detach(), g, b)", **FIXED)
RUNNING = A((4,), (64,), 0.5, 1.5, grad=False)
case(
    "F.batch_renormalization(x, g, b, 3.0, 5.0, running_mean=m, running_var=v)", "",
    x=IMAGE, g=CHANNELS, b=CHANNELS, m=RUNNING, v=RUNNING,
)  # fmt: skip
case("F.fixed_batch_renormalization(x, g, b, m, v)", "", **FIXED)
case("F.decorrelated_batch_normalization(x, groups=2)", "", x=IMAGE)
case(
    "F.fixed_decorrelated_batch_normalization(x, m, p, groups=2)", "",
    x=IMAGE, m=A((2, 2), (2, 32)), p=A((2, 2, 2), (2, 32, 32)),
)  # fmt: skip
case("F.group_normalization(x, 2, g, b)", "tF.group_norm(x, 2, g, b)", x=IMAGE, g=CHANNELS, b=CHANNELS)
case("F.layer_normalization(x, g, b)", "tF.layer_norm(x, x.shape[1:], g, b)", x=X, g=ROW, b=ROW)
case("F.local_response_normalization(x)", "tF.local_response_norm(x, 5, 5e-4, 0.75, 2)", x=IMAGE)
case("F.normalize(x)", "tF.normalize(x)", x=X)

# noise
case("F.dropout(x)", "tF.dropout(x)", x=X)
case("F.gaussian(x, y)", "x + torch.exp(y * 0.5) * torch.randn_like(x)", x=X, y=X)
case("F.gumbel_softmax(x)", "tF.gumbel_softmax(x, 0.1, dim=1)", x=X)
case("F.zoneout(x, y)", "", x=X, y=X)
case("F.simplified_dropconnect(x, w)", "", x=A((4, 10), (32, 128)), w=A((10, 10), (128, 128)))

# rnn
case("F.lstm(c, x)", "", c=STATE, x=A((2, 32), (32, 1024)))
case("F.slstm(c, d, x, y)", "", c=STATE, d=STATE, x=A((2, 32), (32, 1024)), y=A((2, 32), (32, 1024)))
case("F.tree_lstm(c, d, x)", "", c=STATE, d=STATE, x=A((2, 40), (32, 1280)))
for name, gates in (("rnn", 1), ("gru", 3), ("lstm", 4)):
    cell = "h, h," if name == "lstm" else "h,"
    for bi in ("", "bi"):
        layers = " * 2" if bi else ""
        w, b = f"[[{'w, ' * 2 * gates}]]{layers}", f"[[{'b, ' * 2 * gates}]]{layers}"
        state = A((2 if bi else 1, 16, 8), (2 if bi else 1, 16, 128))
        sizes = {"h": state, "w": A((8, 8), (128, 128)), "b": A((8,), (128,)), "xs": [A((16, 8), (16, 128))] * 10}
        case(f"F.n_step_{bi}{name}(1, 0.0, {cell} {w}, {b}, xs)", "", **sizes)

# loss
case("F.softmax_cross_entropy(x, t)", "tF.cross_entropy(x, t.long())", x=A((10, 10), (256, 1000)), t=LABELS)
BITS = A(*FLAT, below=2)
case("F.sigmoid_cross_entropy(x, t)", "tF.binary_cross_entropy_with_logits(x, t.float())", x=X, t=BITS)
case("F.mean_squared_error(x, y)", "tF.mse_loss(x, y)", x=X, y=POSITIVE)
case("F.mean_absolute_error(x, y)", "tF.l1_loss(x, y)", x=X, y=POSITIVE)
case("F.absolute_error(x, y)", "(x - y).abs()", x=X, y=POSITIVE)
case("F.squared_error(x, y)", "(x - y).square()", x=X, y=POSITIVE)
case("F.squared_difference(x, y)", "(x - y).square()", x=X, y=POSITIVE)
case("F.huber_loss(x, y, 1.0)", "tF.huber_loss(x, y, reduction='none').sum(1)", x=X, y=POSITIVE)
case("F.hinge(x, t)", "tF.multi_margin_loss(x, t.long())", x=A((10, 10), (256, 1000)), t=LABELS)
case("F.bernoulli_nll(x, y)", "tF.binary_cross_entropy_with_logits(y, x, reduction='sum')", x=PROBABILITY, y=X)
case("F.gaussian_kl_divergence(x, y)", "-0.5 * (1 + y - x.square() - y.exp()).sum()", x=X, y=X)
case("F.gaussian_nll(x, m, v)", "tF.gaussian_nll_loss(x, m, v.exp(), True, reduction='sum')", x=X, m=X, v=X)
case("F.triplet(x, y, z)", "tF.triplet_margin_loss(x, y, z, 0.2)", x=X, y=POSITIVE, z=INSIDE)
case("F.contrastive(x, y, t)", "", x=X, y=POSITIVE, t=A((10,), (256,), below=2))
case("F.cross_covariance(x, y)", "", x=A((10, 10), (256, 128)), y=A((10, 10), (256, 128)))
case("F.decov(x)", "", x=A((10, 10), (256, 128)))
case(
    "F.discriminative_margin_based_clustering_loss(x, t, 0.5, 1.5, x.shape[1])", "",
    x=A((2, 4, 4, 4), (2, 8, 16, 16)), t=A((2, 4, 4), (2, 16, 16), below=3),
)  # fmt: skip
CHAIN = {"cost": A((5, 5), (20, 20)), "xs": [A((4, 5), (32, 20))] * 10}
case("F.crf1d(cost, xs, [t] * 10)", "", t=A((4,), (32,), below=5), **CHAIN)
case("F.argmax_crf1d(cost, xs)", "", **CHAIN)
case(
    "F.connectionist_temporal_classification(xs, t + 1, 0)",
    "tF.ctc_loss(torch.log_softmax(torch.stack(xs), 2), t + 1, (len(xs),) * len(t), (t.shape[1],) * len(t))",
    xs=[A((2, 6), (16, 30))] * 20, t=A((2, 3), (16, 8), below=5),
)  # fmt: skip
SAMPLED = {"x": A((4, 8), (64, 256)), "t": A((4,), (64,), below=(10, 1000)), "w": A((10, 8), (1000, 256))}
case("F.black_out(x, t, w, s)", "", s=A((4, 5), (64, 20), below=(10, 1000)), **SAMPLED)
case("F.negative_sampling(x, t, w, lambda shape: np.zeros(shape, 'int32'), 5)", "", **SAMPLED)

# evaluation and the rest
SCORES = {"y": A((10, 10), (256, 1000)), "t": LABELS}
case("F.accuracy(y, t)", "(y.argmax(1) == t).float().mean()", **SCORES)
case("F.binary_accuracy(x, t)", "((x >= 0) == (t == 1)).float().mean()", x=X, t=BITS)
for n in ("classification_summary", "precision", "recall", "f1_score"):
    case(f"F.{n}(y, t, label_num=1000)", "", **SCORES)
case("F.r2_score(x, y)", "", x=X, y=POSITIVE)
case("F.forget(lambda v: F.tanh(F.sin(v)), x)", "", name="forget", x=X)


def inputs(name, size, wrap):
    """Return (names and inputs of a call, those that are differentiated); `wrap` makes a Variable or a tensor."""
    rng = np.random.RandomState(0)
    made, wanted = {}, []

    def one(spec):
        if isinstance(spec, list):
            return [one(s) for s in spec]
        array = spec.make(size, rng)
        if not spec.grad:
            return array
        wanted.append(wrap(array))
        return wanted[-1]

    for key, spec in CASES[name][2].items():
        made[key] = one(spec)
    return made, wanted


def leaves(out):
    """Return the outputs as a flat list."""
    if isinstance(out, list | tuple):
        return [leaf for part in out for leaf in leaves(part)]
    return [out]


def caller(name, size, way, library):
    """Return a function without arguments that makes one call of `library` (chainer or jaxchain), and its gradient."""
    made, wanted = inputs(name, size, library.Variable)
    space = {"F": library.functions, "np": np, "utils": library.utils, **made}
    code = compile(CASES[name][0], name, "eval")
    if way == "forward":
        return lambda: [getattr(leaf, "array", leaf) for leaf in leaves(eval(code, space))]

    def floating(out):
        variables = [y for y in leaves(out) if isinstance(y, library.Variable)]
        return [y for y in variables if np.dtype(y.dtype).kind == "f" and y.creator_node is not None]

    ys = floating(eval(code, space))
    if not ys or not wanted:
        raise ValueError("no gradient")
    gys = [library.Variable(np.ones(y.shape, y.dtype)) for y in ys]
    if not any(g is not None for g in library.grad(ys, wanted, gys)):
        raise ValueError("no gradient")
    return lambda: [g.array for g in library.grad(floating(eval(code, space)), wanted, gys) if g is not None]
