"""Name scopes: what the path of an equation or an HLO instruction says about the eager node it came from.

Tracing runs every op under a scope ``Label#ordinal`` inside one scope per link, e.g.
``jit(step)/predictor/l1/LinearFunction#0/jit(linear)/dot_general``. The depth of a path means nothing (JAX wraps parts
of it as it likes): the last ``Label#ordinal`` counts. Gradients run under ``backward/predictor/l1/LinearFunction#0``;
one that is itself in the graph (``enable_double_backprop``) is a node as others are, ``LinearFunctionGrad#4``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# Transforms wrap scopes in parentheses, so a tag may also begin after one.
_BACKWARD = re.compile(r"(?:^|/)backward/|transpose\(")
TAG = re.compile(r"(?:^|(?<=[/(]))((?:[^/();#]| / )+)#(\d+)")


_PLAIN = str.maketrans({"/": "|", ";": ",", "@": "a", "(": "[", ")": "]", "#": "n", "\n": " "})


def scope_name(text: str) -> str:
    """Return a label, or the name of a link, without what means something in a scope: division's is ``_ | _``."""
    plain = text.translate(_PLAIN)
    return "backward_" if plain == "backward" else plain


class Tag(NamedTuple):
    """The eager node named by a scope: its label, its ordinal in its link, and whether this is gradient code."""

    label: str
    ordinal: int
    role: str  # "forward" or "backward"


def role_of(scope: str, tag: re.Match[str]) -> str:
    """Return the role of the code under a tag in a scope: what is before it tells, what is after is the op's own."""
    return "backward" if _BACKWARD.search(scope, 0, tag.start()) else "forward"


def tag_of(path: str) -> Tag | None:
    """Return the tag that a scope path names, or None."""
    every = list(TAG.finditer(path))
    if not every:
        return None
    found = every[-1]
    return Tag(found.group(1), int(found.group(2)), role_of(path, found))


def tags_of(op_name: str) -> tuple[Tag, ...]:
    """Return the tags of an HLO ``op_name``: XLA joins several origins with ``;``."""
    tags = (tag_of(path) for path in op_name.split(";"))
    return tuple(dict.fromkeys(tag for tag in tags if tag is not None))
