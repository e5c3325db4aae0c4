"""Files of dictionaries, by whom they are written."""

from ..._core import Catalogue
from . import _circuit_tracer, _dictionary_learning, _saelens, _sparsify
from ._format import FormatSpec as FormatSpec

_OWN = (
    _saelens.SPEC,
    _sparsify.SPEC,
    _dictionary_learning.SPEC,
    _circuit_tracer.SPEC,
)
FORMATS = Catalogue("jaxcirc.dictionary_formats", _OWN, of=FormatSpec)
