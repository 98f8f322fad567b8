"""Decorators of tests with a random outcome: how often they run, and how often they must pass."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def repeat_with_success_at_least(times: int, min_success: int) -> Callable[[Callable], Callable]:
    """Return a decorator: the test runs until it passed often enough, or cannot any more.

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
                except AssertionError as error:
                    errors.append(error)
                if passed >= min_success:
                    return
                if len(errors) > times - min_success:
                    break
            errors[-1].add_note(
                f"passed {passed} times, failed {len(errors)} times; {min_success} of {times} are needed"
            )
            raise errors[-1]

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
