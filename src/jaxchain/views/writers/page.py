"""What the HTML pages share: parts put into a template, data that cannot end its script element, source lines."""

from __future__ import annotations

import json
import linecache
from collections.abc import Mapping
from importlib import resources
from typing import Any

from jaxchain.views.writers import json as json_writer


def asset(name: str) -> str:
    """Return a file of `views/assets` as text."""
    return (resources.files("jaxchain.views") / "assets" / name).read_text(encoding="utf-8")


def fill(template: str, parts: Mapping[str, str]) -> str:
    """Put parts into the places ``{{name}}`` of a template; what looks like a place inside a part stays text."""
    before, *rest = template.split("{{")
    return before + "".join(parts[name] + after for name, after in (piece.split("}}", 1) for piece in rest))


def script_data(data: Any) -> str:
    """Return data as JSON that may stand inside a script element."""
    return json.dumps(json_writer.plain(data), ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")


def snippet(source: tuple[str, int, str] | None) -> dict[str, Any] | None:
    """Return a source line with those around it."""
    if source is None:
        return None
    file, line, function = source
    lines = [(k, linecache.getline(file, k).rstrip()) for k in range(max(1, line - 2), line + 3)]
    return {"file": file, "line": line, "function": function, "lines": [list(p) for p in lines if p[1]]}
