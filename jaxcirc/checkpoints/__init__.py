"""Training trajectories: which steps there are, and the model at each."""

from .._core import Catalogue
from ._native import (
    TrajectoryWriter as TrajectoryWriter,
    open_trajectory as open_trajectory,
)
from ._reader import ReaderSpec as ReaderSpec
from ._schedules import SCHEDULES as SCHEDULES, schedule as schedule
from ._tensors import (
    CheckpointError as CheckpointError,
    check_tensors as check_tensors,
    load_arrays as load_arrays,
    load_tensors as load_tensors,
    recorded_entry as recorded_entry,
    recorded_hashes as recorded_hashes,
    save_tensors as save_tensors,
    tensor_hashes as tensor_hashes,
)
from ._trajectory import Trajectory as Trajectory

# Other people's formats are read by packages that are installed beside this one.
READERS: Catalogue[ReaderSpec] = Catalogue("jaxcirc.readers", (), of=ReaderSpec)
