"""The catalogue of architectures."""

from .._core import Catalogue
from . import _standard, _topk
from ._architecture import ArchitectureSpec

_OWN = (_standard.SPEC, _topk.SPEC)
ARCHITECTURES = Catalogue("jaxcirc.architectures", _OWN, of=ArchitectureSpec)
