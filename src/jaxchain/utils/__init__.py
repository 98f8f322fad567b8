"""Chainer's utilities."""

from jaxchain.utils import type_check as type_check
