"""`python -m jaxchain`: the command line."""

import sys

from jaxchain.cli import main

sys.exit(main())
