"""Chainer's path of the configuration."""

from jaxchain.core.config import GlobalConfig as GlobalConfig
from jaxchain.core.config import LocalConfig as LocalConfig
from jaxchain.core.config import config as config
from jaxchain.core.config import global_config as global_config
from jaxchain.core.config import using_config as using_config
