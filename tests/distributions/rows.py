"""Rows of the distributions. Plain NumPy: make_golden_distributions.py reads it in Chainer's own Python."""

import dataclasses
import zlib

import numpy as np

inf = np.inf


@dataclasses.dataclass
class Row:
    """A distribution.

    Attributes:
        name: Title: the class's name, perhaps with a remark after a comma.
        params: Keyword arguments: arrays.
        other: Those of a second one, for the divergence; None: there is none.
        x: Events for log_prob, prob, cdf and so on; they broadcast against the parameters.
        known: The methods and properties that Chainer has and that are recorded.
        options: Keyword arguments that are no arrays.
        wrapped: Arguments of an Independent around it; None: none.
        better: Methods where Chainer is nan or infinite and ours need not be.
        flows: Parameters that gradients through samples reach.
        undefined: Whether samples have no mean.
    """

    name: str
    params: dict
    other: dict
    x: object
    known: str
    options: dict = dataclasses.field(default_factory=dict)
    wrapped: object = None
    better: tuple = ()
    flows: tuple = ()
    undefined: bool = False
    second_moment: bool = True

    @property
    def kind(self):
        return self.name.split(",")[0]

    def make(self, D, variable, params=None):
        """Return (distribution, its parameters as Variables)."""
        values = {k: variable(np.array(v, "float32")) for k, v in (params or self.params).items()}
        made = getattr(D, self.kind)(**values, **self.options)
        return (made if self.wrapped is None else D.Independent(made, *self.wrapped)), values

    def functions(self):
        return [n for n in self.known.split() if n in FUNCTIONS]

    def properties(self):
        return [n for n in self.known.split() if n not in FUNCTIONS]

    def events(self):
        return np.array(self.x, None if np.array(self.x).dtype.kind in "iu" else "float32")


FUNCTIONS = ("log_prob", "prob", "cdf", "log_cdf", "icdf", "survival_function", "log_survival_function")
PROBABILITIES = np.array([[0.1, 0.5, 0.9], [0.25, 0.75, 0.999]], "float32")


def cotangent(key, shape):
    rng = np.random.RandomState(zlib.crc32(key.encode()) % (2**31))
    return rng.uniform(-1, 1, shape).astype("float32")


LOC, SCALE = [0.5, -1.0, 2.0], [1.0, 0.3, 2.5]
OTHER = dict(loc=[0.0, 1.0, 2.5], scale=[2.0, 0.5, 1.0])
REAL = [[-3.0, -1.0, 2.0], [0.5, 0.25, 7.0]]
POSITIVE = [[0.1, 1.0, 4.0], [2.0, 0.5, 0.75]]
UNIT = [[0.1, 0.5, 0.9], [0.75, 0.25, 0.01]]
P, Q = [0.1, 0.5, 0.8], [0.3, 0.25, 0.9]
ROWS3, ROWS3B = [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]], [[0.3, 0.3, 0.4], [0.1, 0.1, 0.8]]
TRIL = [[[1.0, 0.0], [0.5, 2.0]], [[0.5, 0.0], [-1.0, 1.5]]]
TRILB = [[[2.0, 0.0], [-0.5, 1.0]], [[1.5, 0.0], [0.25, 0.5]]]
NORMAL = "log_prob prob cdf log_cdf icdf survival_function log_survival_function mean variance stddev entropy"

CASES = [
    Row("Normal", dict(loc=LOC, scale=SCALE), OTHER, REAL, NORMAL, flows=("loc", "scale")),
    Row(
        "Normal, log_scale",
        dict(loc=LOC, log_scale=[0.0, -1.0, 0.5]),
        dict(loc=[0.0, 1.0, 2.5], log_scale=[0.5, 0.0, -0.5]),
        REAL,
        NORMAL,
        flows=("loc", "log_scale"),
    ),
    Row(
        "Normal, tails",
        dict(loc=[0.0, 0.0, 0.0, 0.0], scale=[1.0, 1.0, 1.0, 1.0]),
        None,
        [-30.0, 30.0, 0.0, 5.0],
        "log_prob prob cdf log_cdf survival_function log_survival_function",
    ),
    Row("Normal, one", dict(loc=0.5, scale=2.0), dict(loc=0.0, scale=1.0), 1.0, NORMAL, flows=("loc", "scale")),
    Row("Normal, none", dict(loc=np.zeros((0, 2)), scale=np.ones((0, 2))), None, np.zeros((0, 2)), "log_prob mean"),
    Row(
        "Laplace",
        dict(loc=LOC, scale=SCALE),
        OTHER,
        REAL,
        "log_prob prob cdf icdf mean mode variance stddev entropy",
        flows=("loc", "scale"),
    ),
    Row(
        "Laplace, at the mode",
        dict(loc=[1.0], scale=[2.0]),
        dict(loc=[1.0], scale=[2.0]),
        [1.0],
        "log_prob prob cdf",
        flows=("loc", "scale"),
    ),
    Row(
        "Cauchy",
        dict(loc=LOC, scale=SCALE),
        None,
        REAL,
        "log_prob cdf icdf entropy",
        flows=("loc", "scale"),
        undefined=True,
    ),
    Row("Gumbel", dict(loc=LOC, scale=SCALE), OTHER, REAL, "log_prob mean variance entropy", flows=("loc", "scale")),
    Row(
        "LogNormal",
        dict(mu=[0.5, -1.0, 0.0], sigma=[0.5, 0.3, 0.4]),
        dict(mu=[0.0, 1.0, 0.5], sigma=[1.0, 0.5, 0.3]),
        POSITIVE,
        "log_prob mean variance entropy",
        flows=("mu", "sigma"),
    ),
    Row(
        "Exponential",
        dict(lam=[0.5, 2.0, 1.0]),
        dict(lam=[1.0, 0.5, 1.0]),
        [[0.1, 1.0, 4.0], [0.0, -1.0, 20.0]],
        "log_prob cdf icdf mean variance entropy",
        flows=("lam",),
    ),
    Row(
        "Gamma",
        dict(k=[0.5, 2.0, 3.5], theta=[1.0, 0.5, 2.0]),
        dict(k=[1.5, 2.0, 1.0], theta=[0.5, 2.0, 1.0]),
        POSITIVE,
        "log_prob mean variance entropy",
        flows=("theta",),
    ),
    Row(
        "Gamma, outside",
        dict(k=[2.0, 2.0], theta=[1.0, 1.0]),
        None,
        [-1.0, 3.0],
        "log_prob",
        better=("log_prob",),
        flows=("theta",),
    ),
    Row("Chisquare", dict(k=[1.0, 2.0, 5.0]), None, POSITIVE, "log_prob mean variance entropy"),
    Row(
        "Pareto",
        dict(scale=[1.0, 0.5, 2.0], alpha=[3.0, 5.0, 2.5]),
        dict(scale=[0.5, 0.5, 3.0], alpha=[1.0, 4.0, 2.5]),
        [[1.5, 0.5, 8.0], [0.5, 4.0, 2.0]],
        "log_prob mean variance entropy",
        flows=("scale",),
        second_moment=False,
    ),
    Row(
        "Pareto, no moments",
        dict(scale=[1.0, 1.0, 1.0], alpha=[0.5, 1.5, 2.0]),
        None,
        [2.0, 2.0, 2.0],
        "mean variance",
        better=("mean", "variance"),
        undefined=True,
    ),
    Row(
        "Uniform",
        dict(low=[0.0, -1.0, 2.0], high=[1.0, 3.0, 2.5]),
        dict(low=[-1.0, 0.0, 2.0], high=[2.0, 4.0, 2.5]),
        [[0.5, -1.0, 2.5], [-0.5, 0.0, 2.25]],
        "log_prob cdf icdf mean variance stddev entropy",
        flows=("low", "high"),
    ),
    Row(
        "Uniform, loc",
        dict(loc=[0.0, -1.0, 2.0], scale=[1.0, 4.0, 0.5]),
        dict(loc=[-1.0, 0.0, 2.0], scale=[3.0, 4.0, 0.5]),
        [[0.5, -1.0, 2.5], [-0.5, 0.0, 2.25]],
        "log_prob cdf icdf mean variance stddev entropy",
        flows=("loc", "scale"),
    ),
    Row(
        "Beta",
        dict(a=[0.5, 2.0, 3.0], b=[1.0, 5.0, 1.5]),
        dict(a=[1.0, 3.0, 0.5], b=[2.0, 2.0, 1.0]),
        UNIT,
        "log_prob mean variance entropy",
    ),
    Row("Beta, outside", dict(a=[2.0, 2.0], b=[3.0, 3.0]), None, [-0.5, 1.5], "log_prob", better=("log_prob",)),
    Row(
        "Dirichlet",
        dict(alpha=[[1.0, 2.0, 3.0], [0.5, 0.5, 4.0]]),
        dict(alpha=[[2.0, 2.0, 2.0], [1.5, 0.5, 1.0]]),
        ROWS3,
        "log_prob mean variance entropy",
    ),
    Row(
        "Bernoulli",
        dict(p=P),
        dict(p=Q),
        [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]],
        "log_prob prob mean variance stddev entropy",
    ),
    Row(
        "Bernoulli, logit",
        dict(logit=[-2.0, 0.0, 5.0]),
        dict(logit=[1.0, 0.5, 4.0]),
        [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]],
        "log_prob prob mean variance stddev entropy",
    ),
    Row(
        "Bernoulli, checked",
        dict(p=[0.25, 0.5, 0.75]),
        None,
        [[1.0, 0.0, 0.5], [0.0, 0.25, 0.0]],
        "log_prob prob",
        options=dict(binary_check=True),
        better=("log_prob",),
    ),
    Row("Bernoulli, certain", dict(p=[0.0, 1.0, 0.5]), None, [0.0, 1.0, 1.0], "prob mean variance entropy"),
    Row("Geometric", dict(p=P), dict(p=Q), [[1.0, 3.0, 2.0], [2.0, 1.0, 5.0]], "log_prob mean variance"),
    Row(
        "Poisson",
        dict(lam=[0.5, 2.0, 10.0]),
        dict(lam=[1.0, 2.0, 5.0]),
        [[0, 3, 9], [1, 0, 14]],
        "log_prob mean variance",
    ),
    Row("Categorical", dict(p=ROWS3), dict(p=ROWS3B), [[0, 2], [1, 1], [2, 0]], "log_prob entropy"),
    Row(
        "Categorical, logit",
        dict(logit=[[0.5, -1.0, 2.0], [3.0, 0.0, 0.0]]),
        dict(logit=[[0.0, 0.0, 1.0], [0.5, 0.25, -2.0]]),
        [2, 0],
        "log_prob entropy",
    ),
    Row(
        "OneHotCategorical",
        dict(p=ROWS3),
        dict(p=ROWS3B),
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
        "log_prob mean variance",
    ),
    Row(
        "MultivariateNormal",
        dict(loc=[[0.5, -1.0], [2.0, 0.0]], scale_tril=TRIL),
        dict(loc=[[0.0, 0.0], [1.0, -1.0]], scale_tril=TRILB),
        [[1.0, 2.0], [-1.0, 0.5]],
        "log_prob mean covariance entropy",
        flows=("loc", "scale_tril"),
    ),
    Row(
        "MultivariateNormal, one",
        dict(loc=[0.5, -1.0], scale_tril=TRIL[0]),
        dict(loc=[0.0, 0.0], scale_tril=TRILB[0]),
        [1.0, 2.0],
        "log_prob mean covariance entropy",
        flows=("loc", "scale_tril"),
    ),
    Row(
        "Normal, independent",
        dict(loc=[LOC, LOC], scale=[SCALE, SCALE]),
        dict(loc=[OTHER["loc"]] * 2, scale=[OTHER["scale"]] * 2),
        REAL,
        "log_prob prob cdf log_cdf survival_function log_survival_function mean variance stddev entropy",
        wrapped=(),
        flows=("loc", "scale"),
    ),
    Row(
        "Normal, all axes",
        dict(loc=[LOC, LOC], scale=[SCALE, SCALE]),
        dict(loc=[OTHER["loc"]] * 2, scale=[OTHER["scale"]] * 2),
        REAL,
        "log_prob cdf entropy",
        wrapped=(2,),
        flows=("loc", "scale"),
    ),
    Row(
        "MultivariateNormal, independent",
        dict(loc=[[0.5, -1.0], [2.0, 0.0]], scale_tril=TRIL),
        dict(loc=[[0.0, 0.0], [1.0, -1.0]], scale_tril=TRILB),
        [[1.0, 2.0], [-1.0, 0.5]],
        "log_prob mean covariance entropy",
        wrapped=(1,),
        flows=("loc", "scale_tril"),
    ),
]


def quantities(row, d, e, variable, kl):
    """Yield (name, how to compute it, arrays it is differentiated by besides the parameters)."""
    for name in row.properties():
        yield name, lambda name=name: getattr(d, name), None
    for name in row.functions():
        x = PROBABILITIES if name == "icdf" else row.events()
        if name == "icdf" and len(np.shape(next(iter(row.params.values())))) == 0:
            x = PROBABILITIES[0, :1]
        x = variable(x) if x.dtype.kind == "f" else x
        yield name, lambda name=name, x=x: getattr(d, name)(x), x
    if e is not None:
        yield "kl", lambda: kl(d, e), None
