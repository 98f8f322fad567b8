"""Weight standardisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxchain.functions.normalization import group_normalization
from jaxchain.link_hooks.weight import WeightHook


class WeightStandardization(WeightHook):
    """Gives a link a weight with mean 0 and variance 1 per output channel, computed from its parameter in each call.

    Args:
        eps: Added to the variance.
        weight_name: Name of the weight.
        name: Its key among the hooks of a link.

    Source:
        Qiao et al. 2019, arXiv:1903.10520.

    Examples:
        >>> link = L.Linear(4, 2).add_hook(jaxchain.link_hooks.WeightStandardization())
        >>> unit = link(np.eye(4, dtype=np.float32)).array  # the rows of the weight that the call used
        >>> [abs(round(float(m), 3)) for m in unit.mean(0)], [round(float(s), 2) for s in unit.std(0)]
        ([0.0, 0.0], [1.0, 1.0])
    """

    name = "WeightStandardization"

    def __init__(self, *, eps: float = 1e-5, weight_name: str = "W", name: str | None = None) -> None:
        super().__init__(weight_name, name)
        self.eps = eps

    def normalize_weight(self, link: Any) -> Any:
        """Return the standardised weight.

        Args:
            link: The link.
        """
        weight = getattr(link, self.weight_name)
        gamma, beta = np.ones(weight.shape[1], weight.dtype), np.zeros(weight.shape[1], weight.dtype)
        return group_normalization(weight, 1, gamma, beta, self.eps)
