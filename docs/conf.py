"""Sphinx configuration: furo, MyST, napoleon. Everything builds offline: no inventories, no downloads."""

import sys
from pathlib import Path

import jaxchain

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "jaxchain"
author = "The jaxchain developers"
version = release = jaxchain.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "functions_table",
]
exclude_patterns = ["_build"]
default_role = "code"
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Source", "At ties", "At 0", "Persistent", "At the ends"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"

doctest_test_doctest_blocks = ""  # the examples in docstrings are run by tests/test_doctests.py

html_theme = "furo"
html_title = "jaxchain"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
