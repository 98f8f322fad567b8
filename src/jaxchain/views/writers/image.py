"""DOT -> SVG or PNG, through the system's `dot` or, where there is none, the package graphviz-pure's."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

FORMATS = ("svg", "png")
PNG_INCHES = 60  # at 96 dpi at most 5760 pixels a side: 132 MB of pixels, where 500 nodes uncapped took 1.4 GB
TIMEOUT = 60.0


class RenderError(RuntimeError):
    """No picture could be made: Graphviz is not there, the graph is too large, or its DOT was refused.

    Ways out: install graphviz-pure (``pip install graphviz-pure``) or the system's ``dot``; or save as ``.dot``.
    """


def find_renderer() -> str:
    """Return the path of a program that renders DOT: the system's ``dot``, else graphviz-pure's.

    Raises:
        RenderError: There is neither.
    """
    found = shutil.which("dot")
    if found is None:
        here = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent)]
        places = (shutil.which("graphviz-pure", path=place) for place in [*here, None])
        found = next((place for place in places if place), None)
    if found is None:
        raise RenderError(
            "no Graphviz found to draw with: neither the system's `dot` nor graphviz-pure. "
            "Install one (`pip install graphviz-pure`, or your system's graphviz package), or save as .dot"
        )
    return found


def render(dot: str, format: str, *, timeout: float = TIMEOUT) -> bytes:
    """Return the picture of a DOT text.

    Args:
        dot: The graph in the DOT language.
        format: ``svg`` or ``png``. A PNG is scaled down to at most 5760 pixels a side.
        timeout: Seconds after which the layout is given up.

    Returns:
        The file's bytes.

    Raises:
        ValueError: `format` is neither.
        RenderError: There is no renderer, it failed, or it took too long.
    """
    if format not in FORMATS:
        raise ValueError(f"image format must be svg or png, got {format!r}")
    command = [find_renderer(), f"-T{format}"]
    if format == "png":
        command += [f"-Gsize={PNG_INCHES},{PNG_INCHES}", "-Gdpi=96"]
    try:
        done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise RenderError(
            f"the graph ({len(dot) / 1e6:.1f} MB of DOT) is too large to lay out in {timeout:g} s: "
            "save it as .dot or .json"
        ) from None
    except OSError as error:
        raise RenderError(f"{command[0]} could not be run: {error}") from None
    if done.returncode != 0 or not done.stdout:
        message = done.stderr.decode(errors="replace").strip()[:500]
        raise RenderError(f"{command[0]} failed ({done.returncode}): {message}")
    return done.stdout
