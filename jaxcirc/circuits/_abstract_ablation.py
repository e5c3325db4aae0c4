"""What an ablation is, and a row of their catalogue."""

import abc
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx

from ..models import Transformer, Written
from ..tasks import Pairs


class AbstractAblation(eqx.Module):
    """What sources are taken to have written along edges that are cut.

    Attributes:
        name: What scores and curves say that they belong to.
    """

    name: eqx.AbstractClassVar[str]

    def fitted(self, model: Transformer, pairs: Pairs) -> "AbstractAblation":
        """The ablation with whatever it needs to know of all pairs; itself by default.

        Args:
            model: The model.
            pairs: All pairs, of which single chunks are ablated later.
        """
        del model, pairs
        return self

    @abc.abstractmethod
    def __call__(self, model: Transformer, pairs: Pairs) -> Written:
        """What to put in place, for each of some pairs.

        Args:
            model: The model.
            pairs: A chunk of the pairs that it was fitted to.
        """


class AblationSpec(NamedTuple):
    """A row of the catalogue of ablations.

    Args:
        name: What it is called.
        summary: One line about it.
        build: Keyword options -> ablation.
    """

    name: str
    summary: str
    build: Callable[..., AbstractAblation]
