"""Decorators of tests with a random outcome: how often they run, and how often they must pass."""

from __future__ import annotations

import functools
import traceback
import unittest
from collections.abc import Callable
from typing import Any


def repeat_with_success_at_least(times: int, min_success: int) -> Callable[[Callable], Callable]:
    """Return a decorator: the test runs until it passed often enough, or cannot any more.

    A run that raises any error is a failed one, and a run that skips ends the test as skipped. The failure of the
    test is an `AssertionError` with the counts and the first error's traceback.

    Args:
        times: How often at most.
        min_success: How often it must pass.
    """
    if not 0 < times >= min_success:
        raise ValueError(f"{min_success} successes of {times} runs")

    def decorate(test: Callable) -> Callable:
        @functools.wraps(test)
        def run(self: Any, *args: Any, **kwargs: Any) -> None:
            passed, errors = 0, []
            for n in range(times):
                if n:  # the case was set up for the first run
                    self.tearDown()
                    self.setUp()
                try:
                    test(self, *args, **kwargs)
                    passed += 1
                except unittest.SkipTest:
                    raise
                except Exception as error:  # a failure or an error, in the words of unittest
                    errors.append(error)
                if passed >= min_success:
                    return
                if len(errors) > times - min_success:
                    break
            first = "".join(traceback.format_exception(errors[0]))
            raise AssertionError(
                f"Fail: {len(errors)}, Success: {passed}; {min_success} of {times} are needed\n\n"
                f"The first error message:\n{first}"
            ) from errors[0]

        return run

    return decorate


def repeat(times: int) -> Callable[[Callable], Callable]:
    """Return a decorator: the test must pass every time.

    Args:
        times: How often it runs.
    """
    return repeat_with_success_at_least(times, times)


def retry(times: int) -> Callable[[Callable], Callable]:
    """Return a decorator: the test must pass once.

    Args:
        times: How often it runs at most.
    """
    return repeat_with_success_at_least(times, 1)
