"""matplotlib, if it is there."""

from __future__ import annotations

import importlib.util
import warnings


def available() -> bool:
    """Return whether matplotlib is installed; warn if it is not."""
    if importlib.util.find_spec("matplotlib") is not None:
        return True
    warnings.warn(
        "matplotlib is not installed on your environment, so nothing will be plotted at this time. Please install "
        "matplotlib to plot figures.\n\n  $ pip install matplotlib\n",
        stacklevel=3,
    )
    return False
