"""What tests of programs are written with: parameterised cases, conditions, comparison, functions' and links' cases."""

from jaxchain.testing import attr as attr
from jaxchain.testing import condition as condition
from jaxchain.testing.array import assert_allclose as assert_allclose
from jaxchain.testing.function_link import FunctionTestCase as FunctionTestCase
from jaxchain.testing.function_link import FunctionTestError as FunctionTestError
from jaxchain.testing.function_link import LinkTestCase as LinkTestCase
from jaxchain.testing.function_link import LinkTestError as LinkTestError
from jaxchain.testing.helper import assert_warns as assert_warns
from jaxchain.testing.helper import fix_random as fix_random
from jaxchain.testing.helper import generate_matrix as generate_matrix
from jaxchain.testing.helper import generate_seed as generate_seed
from jaxchain.testing.helper import patch as patch
from jaxchain.testing.helper import run_module as run_module
from jaxchain.testing.helper import save_and_load as save_and_load
from jaxchain.testing.helper import save_and_load_hdf5 as save_and_load_hdf5
from jaxchain.testing.helper import save_and_load_npz as save_and_load_npz
from jaxchain.testing.helper import with_requires as with_requires
from jaxchain.testing.helper import without_requires as without_requires
from jaxchain.testing.parameterized import BackendConfig as BackendConfig
from jaxchain.testing.parameterized import from_pytest_parameterize as from_pytest_parameterize
from jaxchain.testing.parameterized import inject_backend_tests as inject_backend_tests
from jaxchain.testing.parameterized import parameterize as parameterize
from jaxchain.testing.parameterized import parameterize_pytest as parameterize_pytest
from jaxchain.testing.parameterized import product as product
from jaxchain.testing.parameterized import product_dict as product_dict
from jaxchain.testing.training import get_trainer_with_mock_updater as get_trainer_with_mock_updater
