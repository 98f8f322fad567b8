"""Chainer's path of the type checks."""

from jaxchain.core.errors import InvalidType as InvalidType
from jaxchain.core.type_check import Expr as Expr
from jaxchain.core.type_check import LightTypeInfoTuple as LightTypeInfoTuple
from jaxchain.core.type_check import TypeInfo as TypeInfo
from jaxchain.core.type_check import TypeInfoTuple as TypeInfoTuple
from jaxchain.core.type_check import _argname as _argname
from jaxchain.core.type_check import evaluate as evaluate
from jaxchain.core.type_check import expect as expect
from jaxchain.core.type_check import expect_broadcast_shapes as expect_broadcast_shapes
from jaxchain.core.type_check import get_light_types as get_light_types
from jaxchain.core.type_check import get_types as get_types
from jaxchain.core.type_check import make_variable as make_variable
from jaxchain.core.type_check import prod as prod
from jaxchain.core.type_check import same_types as same_types

eval = evaluate
