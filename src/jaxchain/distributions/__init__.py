"""Chainer's `distributions`: every name is re-exported here, and nothing else happens."""

from jaxchain.distributions.categories import Categorical as Categorical
from jaxchain.distributions.categories import OneHotCategorical as OneHotCategorical
from jaxchain.distributions.counts import Bernoulli as Bernoulli
from jaxchain.distributions.counts import Geometric as Geometric
from jaxchain.distributions.counts import Poisson as Poisson
from jaxchain.distributions.independent import Independent as Independent
from jaxchain.distributions.interval import Beta as Beta
from jaxchain.distributions.interval import Dirichlet as Dirichlet
from jaxchain.distributions.interval import Uniform as Uniform
from jaxchain.distributions.multivariate_normal import MultivariateNormal as MultivariateNormal
from jaxchain.distributions.positive import Chisquare as Chisquare
from jaxchain.distributions.positive import Exponential as Exponential
from jaxchain.distributions.positive import Gamma as Gamma
from jaxchain.distributions.positive import LogNormal as LogNormal
from jaxchain.distributions.positive import Pareto as Pareto
from jaxchain.distributions.real import Cauchy as Cauchy
from jaxchain.distributions.real import Gumbel as Gumbel
from jaxchain.distributions.real import Laplace as Laplace
from jaxchain.distributions.real import Normal as Normal
