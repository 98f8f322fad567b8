"""The chain that turns a predictor into a loss, and reports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxchain import functions as F
from jaxchain import reporter
from jaxchain.core.variable import Variable
from jaxchain.link import Chain, Link


class Classifier(Chain):
    """A predictor with a loss and an accuracy, both reported (`jaxchain.report`) as ``loss`` and ``accuracy``.

    Args:
        predictor: The network.
        lossfun: ``lossfun(y, t)``, returns the loss.
        accfun: ``accfun(y, t)``, returns the accuracy.
        label_key: Which argument of a call is the label: position, or name of a keyword.

    Raises:
        TypeError: `label_key` is neither.

    Attributes:
        predictor: The network.
        lossfun: The loss function.
        accfun: The accuracy function.
        y: Prediction of the last call.
        loss: Loss of the last call.
        accuracy: Accuracy of the last call.
        compute_accuracy: Set it to False to leave the accuracy out.
    """

    compute_accuracy = True

    def __init__(
        self,
        predictor: Link,
        lossfun: Callable = F.softmax_cross_entropy,
        accfun: Callable = F.accuracy,
        label_key: int | str = -1,
    ) -> None:
        if not isinstance(label_key, int | str):
            raise TypeError(f"label_key must be int or str, but is {type(label_key)}")
        super().__init__()
        self.lossfun = lossfun
        self.accfun = accfun
        self.y = None
        self.loss = None
        self.accuracy = None
        self.label_key = label_key
        with self.init_scope():
            self.predictor = predictor

    def forward(self, *args: Any, **kwargs: Any) -> Variable:
        """Return the loss of a batch.

        Args:
            *args: Arguments of the predictor and, at `label_key`, the labels.
            **kwargs: The same by name.

        Returns:
            The loss.

        Raises:
            ValueError: There is no argument at `label_key`.
        """
        key = self.label_key
        if isinstance(key, int):
            if not -len(args) <= key < len(args):
                raise ValueError(f"Label key {key} is out of bounds")
            key %= len(args)
            t = args[key]
            args = args[:key] + args[key + 1 :]
        else:
            if key not in kwargs:
                raise ValueError(f'Label key "{key}" is not found')
            t = kwargs.pop(key)
        self.y = self.loss = self.accuracy = None  # frees the last call's graph before this call's is built
        self.y = self.predictor(*args, **kwargs)
        self.loss = self.lossfun(self.y, t)
        reporter.report({"loss": self.loss}, self)
        if self.compute_accuracy:
            self.accuracy = self.accfun(self.y, t)
            reporter.report({"accuracy": self.accuracy}, self)
        return self.loss
