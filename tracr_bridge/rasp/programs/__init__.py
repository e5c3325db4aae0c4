"""RASP programs with plain references: tracr's library and those of LLC studies."""

from . import (
    _count,
    _detect_pattern,
    _dominant_peak,
    _fraction_of_previous,
    _histogram,
    _length,
    _pair_balance,
    _palindrome,
    _peak,
    _reverse,
    _shuffle_dyck,
    _sort,
    _triplets,
)
from ._count import count as count, count_less_frequent as count_less_frequent
from ._detect_pattern import detect_pattern as detect_pattern
from ._dominant_peak import dominant_peak as dominant_peak
from ._fraction_of_previous import fraction_of_previous as fraction_of_previous
from ._histogram import histogram as histogram
from ._length import length as length
from ._pair_balance import pair_balance as pair_balance
from ._palindrome import palindrome as palindrome
from ._peak import peak as peak
from ._program import ProgramSpec as ProgramSpec
from ._reverse import reverse as reverse
from ._shuffle_dyck import (
    shuffle_dyck as shuffle_dyck,
    shuffle_dyck_2 as shuffle_dyck_2,
)
from ._sort import (
    sort as sort,
    sort_by_frequency as sort_by_frequency,
    sort_unique as sort_unique,
)
from ._triplets import triplets as triplets

PROGRAMS = (
    _length.SPEC,
    _histogram.SPEC,
    _fraction_of_previous.SMALL,
    _fraction_of_previous.MEDIUM,
    _fraction_of_previous.LARGE,
    _fraction_of_previous.SMALL_LONG,
    _fraction_of_previous.MEDIUM_LONG,
    _fraction_of_previous.LARGE_LONG,
    _pair_balance.SPEC,
    _shuffle_dyck.SPEC,
    _shuffle_dyck.TWO,
    _sort.SPEC,
    _sort.UNIQUE,
    _sort.BY_FREQUENCY,
    _reverse.SPEC,
    _palindrome.SPEC,
    _peak.SPEC,
    _dominant_peak.SPEC,
    _triplets.SPEC,
    _count.SPEC,
    _count.LESS_FREQUENT,
    _detect_pattern.SPEC,
)
