"""`FunctionHook`: what sees every function of a thread (`with hook:`), or one function (`function.add_hook(hook)`)."""

from __future__ import annotations

from typing import Any

from jaxchain.core.config import thread_state


class FunctionHook:
    """Base class of hooks that see functions run forward and backward; subclasses override what they need.

    A function is its node of the graph: it has `label`, `inputs`, `rank`. What static mode traces is
    seen while it is traced, with tracers for arrays: once in every trace, and a link's call may take several. When it
    runs compiled, a link is one function, and what a static function calls is not seen.

    Attributes:
        name: Its key among the hooks of a thread or function.

    Examples:
        >>> class Labels(jaxchain.FunctionHook):
        ...     def forward_preprocess(self, function, in_data):
        ...         print(function.label)
        >>> with Labels():
        ...     y = F.relu(np.float32([1]))
        ReLU
    """

    name = "FunctionHook"

    def __enter__(self) -> Any:
        state = thread_state()
        if self.name in state.hooks:
            raise KeyError(f"hook {self.name} already exists")
        state.hooks[self.name] = self
        state.refresh()
        self.added(None)
        return self

    def __exit__(self, *_: Any) -> None:
        state = thread_state()
        state.hooks[self.name].deleted(None)
        del state.hooks[self.name]
        state.refresh()

    def added(self, function: Any) -> None:
        """The hook was registered.

        Args:
            function: With this function, or None: for the thread.
        """

    def deleted(self, function: Any) -> None:
        """The hook was unregistered.

        Args:
            function: From this function, or None: from the thread.
        """

    def forward_preprocess(self, function: Any, in_data: tuple[Any, ...]) -> None:
        """A function is about to run.

        Args:
            function: Its node.
            in_data: The input arrays.
        """

    def forward_postprocess(self, function: Any, in_data: tuple[Any, ...]) -> None:
        """A function has run.

        Args:
            function: Its node.
            in_data: The input arrays.
        """

    def backward_preprocess(self, function: Any, in_data: tuple[Any, ...], out_grad: tuple[Any, ...]) -> None:
        """The gradient of a function is about to be computed.

        Args:
            function: Its node.
            in_data: The arrays that it kept.
            out_grad: Gradients of the outputs.
        """

    def backward_postprocess(self, function: Any, in_data: tuple[Any, ...], out_grad: tuple[Any, ...]) -> None:
        """The gradient of a function has been computed.

        Args:
            function: Its node.
            in_data: The arrays that it kept.
            out_grad: Gradients of the outputs.
        """
