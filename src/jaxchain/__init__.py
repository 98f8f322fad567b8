"""jaxchain: define-by-run models on JAX, compiled by one switch, with both graphs to look at.

Models are written with `Variable`, `Link`, `Chain`, `jaxchain.functions` and `jaxchain.links`, as in Chainer. Eager
mode records a graph as the program runs; static mode compiles the same program with `jax.jit`. `contrast` shows both.
"""

import importlib as _importlib
from typing import Any as _Any

from jaxchain import functions as functions
from jaxchain.contrast import contrast as contrast
from jaxchain.core.config import DebugMode as DebugMode
from jaxchain.core.config import config as config
from jaxchain.core.config import force_backprop_mode as force_backprop_mode
from jaxchain.core.config import get_dtype as get_dtype
from jaxchain.core.config import global_config as global_config
from jaxchain.core.config import is_debug as is_debug
from jaxchain.core.config import no_backprop_mode as no_backprop_mode
from jaxchain.core.config import set_debug as set_debug
from jaxchain.core.config import using_config as using_config
from jaxchain.core.function import Function as Function
from jaxchain.core.function import FunctionAdapter as FunctionAdapter
from jaxchain.core.function_node import FunctionNode as FunctionNode
from jaxchain.core.graph import backward as backward
from jaxchain.core.graph import grad as grad
from jaxchain.core.parameter import Parameter as Parameter
from jaxchain.core.random import seed as seed
from jaxchain.core.sizes import bucket as bucket
from jaxchain.core.static import static as static
from jaxchain.core.variable import Variable as Variable
from jaxchain.core.variable import as_array as as_array
from jaxchain.core.variable import as_variable as as_variable
from jaxchain.device_resident import DeviceResident as DeviceResident
from jaxchain.function_hook import FunctionHook as FunctionHook
from jaxchain.functions.control import cond as cond
from jaxchain.functions.control import scan as scan
from jaxchain.functions.control import while_loop as while_loop
from jaxchain.initializers import Initializer as Initializer
from jaxchain.link import Chain as Chain
from jaxchain.link import ChainList as ChainList
from jaxchain.link import Link as Link
from jaxchain.link_hook import LinkHook as LinkHook
from jaxchain.reporter import DictSummary as DictSummary
from jaxchain.reporter import Reporter as Reporter
from jaxchain.reporter import Summary as Summary
from jaxchain.reporter import get_current_reporter as get_current_reporter
from jaxchain.reporter import report as report
from jaxchain.reporter import report_scope as report_scope
from jaxchain.sequential import Sequential as Sequential
from jaxchain.serializer import AbstractSerializer as AbstractSerializer
from jaxchain.serializer import Deserializer as Deserializer
from jaxchain.serializer import Serializer as Serializer
from jaxchain.views.diff import diff as diff
from jaxchain.views.programs import hlo as hlo
from jaxchain.views.programs import jaxpr as jaxpr
from jaxchain.views.summary import summary as summary

__version__ = "0.1.0"

disable_experimental_feature_warning = False  # whether `utils.experimental` is silent

_ROOMS = (  # imported when first used: optax alone takes a second
    "backend",
    "backends",
    "computational_graph",
    "configuration",
    "cuda",
    "dataset",
    "datasets",
    "distribution",
    "distributions",
    "environment",
    "function",
    "function_hook",
    "function_hooks",
    "function_node",
    "gradient_check",
    "initializer",
    "initializers",
    "interop",
    "iterators",
    "link",
    "link_hook",
    "link_hooks",
    "links",
    "optimizer",
    "optimizer_hooks",
    "optimizers",
    "reporter",
    "sequential",
    "serializer",
    "serializers",
    "testing",
    "training",
    "utils",
    "variable",
    "warnings",
)
_OPTIMIZER = ("Optimizer", "GradientMethod", "UpdateRule")
_BACKEND = ("get_device", "using_device")
_ENVIRONMENT = (
    "get_array_types",
    "get_compute_mode",
    "get_cpu_array_types",
    "get_function_hooks",
    "is_arrays_compatible",
    "mixed16",
    "print_runtime_info",
    "should_use_cudnn",
    "should_use_cudnn_tensor_core",
    "static_code",
    "static_graph",
)
_LATER = {  # name -> room, imported when first used
    "export": "exporting",
    "load_exported": "exported",
    "Exported": "exported",
    "ExportError": "exported",
    "verify": "verification",
}
_DISTRIBUTION = ("Distribution", "cross_entropy", "kl_divergence", "register_kl")


def __getattr__(name: str) -> _Any:
    if name in _ROOMS:
        return _importlib.import_module(f"jaxchain.{name}")
    if name in _OPTIMIZER:
        return getattr(_importlib.import_module("jaxchain.optimizer"), name)
    if name in _BACKEND:
        return getattr(_importlib.import_module("jaxchain.backend"), name)
    if name in _ENVIRONMENT:
        return getattr(_importlib.import_module("jaxchain.environment"), name)
    if name in _LATER:
        return getattr(_importlib.import_module(f"jaxchain.{_LATER[name]}"), name)
    if name in _DISTRIBUTION:
        return getattr(_importlib.import_module("jaxchain.distribution"), name)
    raise AttributeError(f"module 'jaxchain' has no attribute {name!r}")
