"""Tasks: data with right answers, wrong counterparts and names for the tokens."""

from .._core import Catalogue
from . import (
    _country_capital,
    _docstring,
    _gender_pronoun,
    _greater_than,
    _induction,
    _ioi,
    _ioi_toy,
    _mirror,
    _mod_add,
    _superposition,
    _sva,
    _text,
)
from ._batch import Batch as Batch, Split as Split
from ._induction import Induction as Induction
from ._mirror import Mirror as Mirror
from ._mod_add import ModAdd as ModAdd
from ._pairs import Pairs as Pairs, answers_differ as answers_differ
from ._prompt_task import PromptTask as PromptTask
from ._repeated import (
    check_periods as check_periods,
    default_periods as default_periods,
    repeated_tokens as repeated_tokens,
)
from ._superposition import Superposition as Superposition
from ._task import AbstractTask as AbstractTask, TaskSpec as TaskSpec
from ._text import Text as Text
from ._tokenizer import (
    ByteTokenizer as ByteTokenizer,
    LibraryTokenizer as LibraryTokenizer,
    Tokenizer as Tokenizer,
)
from ._words import WordTokenizer as WordTokenizer

_OWN = (
    _induction.SPEC,
    _mirror.SPEC,
    _mod_add.SPEC,
    _superposition.SPEC,
    _text.SPEC,
    _ioi_toy.SPEC,
    _ioi.SPEC,
    _greater_than.SPEC,
    _sva.SPEC,
    _gender_pronoun.SPEC,
    _docstring.SPEC,
    _country_capital.SPEC,
)
TASKS = Catalogue("jaxcirc.tasks", _OWN, of=TaskSpec)
