"""Tasks: data with right answers, wrong counterparts and names for the tokens."""

from .._core import Catalogue
from . import _induction, _mod_add, _text, _tokens
from ._induction import Induction as Induction
from ._mod_add import ModAdd as ModAdd
from ._task import (
    AbstractTask as AbstractTask,
    Batch as Batch,
    Split as Split,
    TaskSpec as TaskSpec,
)
from ._text import Text as Text
from ._tokens import Tokens as Tokens, Vocabulary as Vocabulary

_OWN = (_induction.SPEC, _mod_add.SPEC, _text.SPEC, _tokens.SPEC)
TASKS = Catalogue("jaxcirc.tasks", _OWN, of=TaskSpec)
