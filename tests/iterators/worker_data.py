"""Datasets for worker processes: this module imports nothing that takes time."""

import os
import signal
import time


class Plain:
    """Example i is i; some do other things."""

    def __init__(self, n, special=None):
        self.n, self.special = n, special or {}

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        what = self.special.get(i)
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "exit":
            os._exit(3)
        if what == "raise":
            raise KeyError(f"no example {i}")
        if what == "odd error":
            raise Odd(1, 2)
        if what == "lambda":
            return lambda: i
        if what == "slow":
            time.sleep(0.6)
        if what == "pid":
            return os.getpid()
        return i


class Odd(Exception):
    """Cannot be unpickled."""

    def __init__(self, a, b):
        super().__init__("odd")


class Unloadable:
    """Cannot be unpickled in a worker."""

    def __len__(self):
        return 4

    def __reduce__(self):
        return _refuse, (os.getpid(),)


def _refuse(pid):
    if os.getpid() != pid:
        raise OSError("the file is not on this machine")
