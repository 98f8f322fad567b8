"""Crops of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def oversample(images: Sequence[Any], crop_dims: tuple[int, int]) -> np.ndarray:
    """Return ten crops of each image: its four corners, its centre, and the mirror images of these.

    Args:
        images: Images ``(channels, height, width)`` of one size.
        crop_dims: Height and width of a crop.

    Returns:
        Array ``(10 * len(images), channels, *crop_dims)``: the crops of the first image come first.

    Raises:
        ValueError: A crop is larger than the images.
    """
    stack = np.stack([np.asarray(image) for image in images])
    (height, width), (h, w) = stack.shape[2:], crop_dims
    if h > height or w > width:
        raise ValueError(f"oversample: crops of {h} x {w} do not fit into images of {height} x {width}")
    centre = int((height - h) / 2), int((width - w) / 2)
    places = [(0, 0), (0, width - w), (height - h, 0), (height - h, width - w), centre]
    crops = np.stack([stack[:, :, y : y + h, x : x + w] for y, x in places], axis=1)
    return np.concatenate([crops, crops[..., ::-1]], axis=1).reshape(-1, stack.shape[1], h, w)
