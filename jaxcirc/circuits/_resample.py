"""Cut edges carry what the corrupted partner makes the sources write."""

from typing import ClassVar

from ..models import Transformer, Written, written
from ..tasks import Pairs
from ._abstract_ablation import AblationSpec, AbstractAblation


class Resample(AbstractAblation):
    """What the corrupted partner of each example makes the sources write.

    Interchange or patching: everything stays as a real sequence would have it, and only
    what differs between the partners can have an effect.
    """

    name: ClassVar[str] = "resample"

    def __call__(self, model: Transformer, pairs: Pairs) -> Written:
        """What the corrupted sequences write."""
        return written(model, pairs.corrupted)


SPEC = AblationSpec("resample", "what the corrupted partner writes", Resample)
