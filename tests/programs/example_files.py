"""The examples, imported as modules."""

import importlib.util
import pathlib
import sys

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


def load(path):
    """Import an example's file, ``cnn/train.py``, as a module."""
    name = "example_" + path.replace("/", "_").removesuffix(".py")
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
