"""Helpers without a home in the field: trees, names, keys, files."""

from ._catalogue import Catalogue as Catalogue, find as find
from ._draws import normal as normal
from ._dtypes import (
    at_least_float32 as at_least_float32,
    number_dtype as number_dtype,
    widened as widened,
)
from ._files import (
    create_folder as create_folder,
    is_local as is_local,
    read_bytes as read_bytes,
    remove_unfinished as remove_unfinished,
    unfinished_files as unfinished_files,
    write_atomically as write_atomically,
)
from ._keys import fold_name as fold_name, seed_key as seed_key
from ._lanczos import Quadrature as Quadrature, lanczos as lanczos
from ._lock import (
    FolderLocked as FolderLocked,
    is_locked as is_locked,
    lock_folder as lock_folder,
)
from ._memory import device_memory as device_memory
from ._names import nearest as nearest, unknown as unknown
from ._objective import (
    AbstractObjective as AbstractObjective,
    Objective as Objective,
    masked_mean as masked_mean,
    mean_of as mean_of,
    require_loss as require_loss,
    value_of_one as value_of_one,
)
from ._plugins import LeftOut as LeftOut, PluginWarning as PluginWarning
from ._rows import rows_of as rows_of
from ._safe import (
    entropy_terms as entropy_terms,
    ratio as ratio,
    root as root,
    unit_scale as unit_scale,
)
from ._same_weights import (
    equal_weights as equal_weights,
    weights_digest as weights_digest,
)
from ._sealed import (
    check_page as check_page,
    digest as digest,
    digest_of as digest_of,
    dump_record as dump_record,
    is_sealed as is_sealed,
    parse_record as parse_record,
    seal as seal,
    seal_of as seal_of,
    seal_page as seal_page,
    unseal as unseal,
)
from ._student import student as student
from ._tenure import Tenure as Tenure, tenures as tenures
from ._trees import (
    named_leaves as named_leaves,
    select_paths as select_paths,
    stack_trees as stack_trees,
    tree_bytes as tree_bytes,
)
from ._vectors import (
    count as count,
    inner as inner,
    keep as keep,
    linear_combination as linear_combination,
    norm as norm,
    normal_like as normal_like,
    squared_norm as squared_norm,
)
