"""Rows for links: recurrent layers, tree LSTMs, and losses that have parameters. See link_cases.py."""

import numpy as np
from link_cases import IMAGES, VECTORS, case, floats, ids

SEQUENCES = [floats(1, 2, 4), floats(2, 5, 4), floats(3, 3, 4)]
MASK = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 0]], np.float32)
TREE = ((0, 1), ((2, 3), 4))


def with_samples(link, samples):
    """Return a BlackOut link that does not draw."""
    link.sample_data = np.array(samples, np.int32)
    return link


def with_sampler(link, samples):
    """Return a NegativeSampling link that does not draw."""
    link.sampler.sample = lambda shape: np.array(samples, np.int32).reshape(shape)
    return link


def with_mask(link):
    """Return a link that has a mask already: real Chainer would take the row's own array as the persistent one."""
    link.add_persistent("mask", np.ones((3, 4), np.float32))
    return link


def states(seed, *shape):
    """Return two states."""
    return floats(seed, *shape), floats(seed + 1, *shape)


CASES = [
    *(
        case(f"{name.lower()}_{kind}", lambda L, name=name: getattr(L, name)(2, 4, 3, 0.0), (state, SEQUENCES))
        for name, rows in (
            ("NStepGRU", 2),
            ("NStepBiGRU", 4),
            ("NStepRNNTanh", 2),
            ("NStepRNNReLU", 2),
            ("NStepBiRNNTanh", 4),
            ("NStepBiRNNReLU", 4),
        )
        for kind, state in (("none", None), ("state", floats(9, rows, 3, 3)))
    ),
    case("nstepbilstm_none", lambda L: L.NStepBiLSTM(2, 4, 3, 0.0), (None, None, SEQUENCES)),
    case("nstepbilstm_state", lambda L: L.NStepBiLSTM(1, 4, 3, 0.0), (*states(4, 2, 2, 3), SEQUENCES[:2])),
    case("nstepgru_shuffled", lambda L: L.NStepGRU(1, 4, 2, 0.0), (None, [floats(n, n, 4) for n in (3, 1, 6, 2, 5)])),
    case("gru", lambda L: L.GRU(4, 3), (VECTORS,), (floats(11, 5, 4),), (floats(12, 5, 4),)),
    case("gru_one_step", lambda L: L.GRU(4, 3), (VECTORS,)),
    case("gru_bias", lambda L: L.StatefulGRU(4, 3, bias_init=0.5), (VECTORS,), (floats(11, 5, 4),)),
    case("stateless_gru", lambda L: L.StatelessGRU(4, 3), (floats(1, 5, 3), VECTORS)),
    case("stateless_gru_lazy", lambda L: L.StatelessGRU(None, 3), (floats(1, 5, 3), VECTORS)),
    case("mgu", lambda L: L.StatefulMGU(4, 3), (VECTORS,), (floats(11, 5, 4),)),
    case("stateless_mgu", lambda L: L.StatelessMGU(4, 3), (floats(1, 5, 3), VECTORS)),
    case("peephole", lambda L: L.StatefulPeepholeLSTM(4, 3), (VECTORS,), (floats(11, 5, 4),), (floats(12, 5, 4),)),
    case("peephole_lazy", lambda L: L.StatefulPeepholeLSTM(None, 2), (VECTORS,)),
    # ratio 0 keeps nothing: without a random number
    case("zoneout", lambda L: L.StatefulZoneoutLSTM(4, 3, 0.0, 0.0), (VECTORS,), (floats(11, 5, 4),)),
    case("zoneout_lazy", lambda L: L.StatefulZoneoutLSTM(None, 3, c_ratio=0.0, h_ratio=0.0), (VECTORS,)),
    case("child_sum_tree_lstm", lambda L: L.ChildSumTreeLSTM(4, 3), (*states(1, 5, 3), *states(3, 5, 3), VECTORS)),
    case("child_sum_tree_lstm_leaf", lambda L: L.ChildSumTreeLSTM(4, 3), (VECTORS,)),
    case("child_sum_tree_lstm_one", lambda L: L.ChildSumTreeLSTM(None, 2), (*states(1, 5, 2), VECTORS)),
    case("child_sum_tree_lstm_none", lambda L: L.ChildSumTreeLSTM(4, 3), (None, floats(1, 5, 3), None, None, None)),
    case("nary_tree_lstm", lambda L: L.NaryTreeLSTM(4, 3), (*states(1, 5, 3), *states(3, 5, 3), VECTORS)),
    case("nary_tree_lstm_1", lambda L: L.NaryTreeLSTM(None, 2, n_ary=1), (*states(1, 5, 2), VECTORS)),
    case("nary_tree_lstm_3", lambda L: L.NaryTreeLSTM(4, 2, 3), (None, *states(1, 5, 2), *states(3, 5, 2), None, None)),
    case("highway", lambda L: L.Highway(4), (VECTORS,)),
    case("highway_nobias", lambda L: L.Highway(4, nobias=True, init_bt=2), (VECTORS,)),
    case(
        "black_out",
        lambda L: with_samples(L.BlackOut(4, [5, 2, 3, 1], 2), [[0, 1], [1, 2], [3, 3], [0, 2], [1, 0]]),
        (VECTORS, ids(1, 4, 5)),
    ),
    case(
        "negative_sampling",
        lambda L: with_sampler(L.NegativeSampling(4, [5, 2, 3, 1], 1), [[0, 1], [1, 2], [3, 3], [0, 2], [1, 0]]),
        (VECTORS, ids(1, 5, 5) - 1),
    ),
    case(
        "negative_sampling_no",
        lambda L: with_sampler(L.NegativeSampling(4, [5, 2, 3, 1], 1), [[0, 1], [1, 2], [3, 3], [0, 2], [1, 0]]),
        (VECTORS, ids(1, 4, 5)),
        reduce="no",
    ),
    case(
        "crf1d",
        lambda L: L.CRF1d(3),
        ([floats(1, 2, 3), floats(2, 2, 3), floats(3, 1, 3)], [ids(1, 3, 2)] * 2 + [ids(1, 3, 1)]),
    ),
    case(
        "crf1d_transpose",
        lambda L: L.CRF1d(4),
        (SEQUENCES, [ids(n, 4, n) for n in (2, 5, 3)]),
        transpose=True,
        reduce="no",
    ),
    case("hierarchical_softmax", lambda L: L.BinaryHierarchicalSoftmax(4, TREE), (VECTORS, ids(1, 5, 5))),
    case("hierarchical_softmax_pair", lambda L: L.BinaryHierarchicalSoftmax(4, (1, 0)), (VECTORS, ids(1, 2, 5))),
    *(
        case(f"group_normalization_{name}", build, (IMAGES,))
        for name, build in (
            ("2", lambda L: L.GroupNormalization(2, 4)),
            ("lazy", lambda L: L.GroupNormalization(4, eps=1e-3)),
            ("1", lambda L: L.GroupNormalization(1, initial_gamma=2, initial_beta=1)),
        )
    ),
    case("batch_renormalization", lambda L: L.BatchRenormalization(4), (VECTORS,), (floats(9, 3, 4),)),
    case(
        "batch_renormalization_bounds",
        lambda L: L.BatchRenormalization(4, rmax=2, dmax=1.5, decay=0.5, eps=1e-3),
        (IMAGES,),
        (IMAGES * 3 + 1,),
    ),
    case("batch_renormalization_no_gamma", lambda L: L.BatchRenormalization(4, 3, 5, use_gamma=False), (IMAGES,)),
    case("batch_renormalization_no_beta", lambda L: L.BatchRenormalization(4, 3, 5, use_beta=False), (IMAGES,)),
    case(
        "batch_renormalization_finetune",
        lambda L: L.BatchRenormalization(4, 3, 5),
        (VECTORS,),
        (floats(9, 3, 4),),
        finetune=True,
    ),
    case(
        "decorrelated_batch_normalization",
        lambda L: L.DecorrelatedBatchNormalization(4, groups=2),
        (floats(5, 12, 4),),
        (floats(6, 9, 4),),
    ),
    case("decorrelated_batch_normalization_2d", lambda L: L.DecorrelatedBatchNormalization(4, 1, 0.5, 1e-3), (IMAGES,)),
    case(
        "decorrelated_batch_normalization_finetune",
        lambda L: L.DecorrelatedBatchNormalization(4, groups=4),
        (VECTORS,),
        (floats(9, 3, 4),),
        finetune=True,
    ),
    case(
        "simplified_dropconnect",
        lambda L: with_mask(L.SimplifiedDropconnect(4, 3)),
        (VECTORS,),
        mask=MASK,
        use_batchwise_mask=False,
    ),
    case(
        "simplified_dropconnect_batch",
        lambda L: with_mask(L.SimplifiedDropconnect(None, 3, 0.25, nobias=True)),
        (VECTORS,),
        mask=np.stack([MASK, 1 - MASK, MASK, MASK, 1 - MASK]),
    ),
    case("simplified_dropconnect_test", lambda L: L.SimplifiedDropconnect(4, 3), (VECTORS,), train=False),
]
