"""Hooks on functions: how long each takes, and what goes in."""

from jaxchain.function_hooks.cuda import CUDAProfileHook as CUDAProfileHook
from jaxchain.function_hooks.cuda import CupyMemoryProfileHook as CupyMemoryProfileHook
from jaxchain.function_hooks.print_hook import PrintHook as PrintHook
from jaxchain.function_hooks.timer import TimerHook as TimerHook
