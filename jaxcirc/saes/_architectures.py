"""The catalogue of architectures."""

from .._core import Catalogue
from ._architecture import ArchitectureSpec
from ._transcoder import BASES, CROSSCODER, SKIP_TRANSCODER, TRANSCODER

_OWN = (*BASES, TRANSCODER, SKIP_TRANSCODER, CROSSCODER)
ARCHITECTURES = Catalogue("jaxcirc.architectures", _OWN, of=ArchitectureSpec)
