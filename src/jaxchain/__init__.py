"""jaxchain: define-by-run models on JAX, compiled by one switch."""

from jaxchain.core.config import (
    DebugMode as DebugMode,
)
from jaxchain.core.config import (
    config as config,
)
from jaxchain.core.config import (
    force_backprop_mode as force_backprop_mode,
)
from jaxchain.core.config import (
    get_dtype as get_dtype,
)
from jaxchain.core.config import (
    global_config as global_config,
)
from jaxchain.core.config import (
    is_debug as is_debug,
)
from jaxchain.core.config import (
    no_backprop_mode as no_backprop_mode,
)
from jaxchain.core.config import (
    set_debug as set_debug,
)
from jaxchain.core.config import (
    using_config as using_config,
)
from jaxchain.core.random import seed as seed
from jaxchain.core.variable import Parameter as Parameter
from jaxchain.core.variable import Variable as Variable
from jaxchain.core.variable import as_array as as_array
from jaxchain.core.variable import as_variable as as_variable
from jaxchain.core.graph import backward as backward
from jaxchain.core.graph import grad as grad
from jaxchain.core.static import static as static
