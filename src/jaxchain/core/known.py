"""Which variant of a static callable a call tries first."""

from __future__ import annotations

from jaxchain.core.variant import Variant


class Known(list[Variant]):
    """The variants of one key, the last used first; it predicts which one a call will take.

    A discarded call costs as much as one that fits. So the variant is tried first that came after the last few ones
    before: outcomes that alternate, or that go round, are right each time once they were seen. While predictions are
    often wrong, a variant is asked for its outcomes before it is called (`Variant.foresee`).
    Source: T.-Y. Yeh, Y. N. Patt, "Two-level adaptive training branch prediction" (1991).

    Where outcomes come in turn all the same, the variants are merged into one program (core/merging.py).

    Attributes:
        doubt: Share of the last predictions that were wrong, the latest counting most.
        turns: How often a call took another variant than the one before, since the last merger.
        due: How often that happens before variants are merged.
        merged: A merged variant that was compiled in the background and is to be taken in.
    """

    HISTORY, LARGEST, DOUBTFUL, TURNS = 4, 4096, 0.25, 16

    def __init__(self) -> None:
        super().__init__()
        self.recent: tuple[int, ...] = ()
        self.after: dict[tuple[int, ...], Variant] = {}
        self.doubt = 0.0
        self.turns, self.due = 0, self.TURNS
        self.merged: Variant | None = None

    def ordered(self) -> list[Variant]:
        """Return the variants in the order in which to try them."""
        likely = self.after.get(self.recent)
        return self if likely is None or likely is self[0] else [likely, *(v for v in self if v is not likely)]

    def took(self, variant: Variant, as_predicted: bool) -> None:
        """Note which variant a call took."""
        self.doubt += ((not as_predicted) - self.doubt) / 8
        if len(self.after) < self.LARGEST or self.recent in self.after:
            self.after[self.recent] = variant
        self.recent = (*self.recent[1 - self.HISTORY :], id(variant))
        if variant is not self[0]:
            self.turns += 1
            self.remove(variant)
            self.insert(0, variant)

    def take_in(self) -> None:
        """Put the merged variant first, in the place of an earlier one."""
        assert self.merged is not None
        self[:] = [self.merged, *(v for v in self if not v.is_merged)]
        self.merged, self.turns, self.recent = None, 0, ()
        self.after.clear()
