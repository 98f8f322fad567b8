"""What hooks have in common that put another weight in the place of a link's own for the time of a call."""

from __future__ import annotations

from typing import Any, NoReturn

from jaxchain.link_hook import LinkHook


class WeightHook(LinkHook):
    """Base of hooks that replace a weight during each call. Subclasses define `normalize_weight`.

    Args:
        weight_name: Name of the weight.
        name: Its key among the hooks of a link; None: the class's.
    """

    def __init__(self, weight_name: str, name: str | None) -> None:
        self.weight_name = weight_name
        self.original_weight: Any = None  # the parameter, while its link runs
        if name is not None:
            self.name = name

    def __enter__(self) -> NoReturn:
        raise NotImplementedError(f"{type(self).__name__} is a hook of one link: use link.add_hook(hook), not 'with'")

    def added(self, link: Any) -> None:
        """Look for the weight, and prepare if it has been initialised.

        Args:
            link: The link.

        Raises:
            ValueError: The link has no such weight.
        """
        if not hasattr(link, self.weight_name):
            raise ValueError(
                f"{type(self).__name__}: expected a link with a weight {self.weight_name!r}, "
                f"but {type(link).__name__} has none: it does not exist!"
            )
        if getattr(link, self.weight_name).array is not None:
            self.prepare(link)

    def prepare(self, link: Any) -> None:
        """Make what the hook keeps on the link; its weight is initialised."""

    def normalize_weight(self, link: Any) -> Any:
        """Return the weight that the link is to use in this call.

        Args:
            link: The link.
        """
        raise NotImplementedError

    def forward_preprocess(self, args: Any) -> None:
        """Put the normalised weight into the link; initialise the link first if it has not been.

        Args:
            args: What the call is: link and arguments.
        """
        link = args.link
        weight = getattr(link, self.weight_name)
        if weight.array is None:
            link._initialize_params(args.args[0].shape[1])
        self.prepare(link)
        normalized = self.normalize_weight(link)
        self.original_weight = weight
        setattr(link, self.weight_name, normalized)

    def forward_postprocess(self, args: Any) -> None:
        """Put the parameter back.

        Args:
            args: What the call was.
        """
        setattr(args.link, self.weight_name, self.original_weight)
        self.original_weight = None
