"""Train models from a task, many seeds as one program, and keep their checkpoints.

`Loop` and `calls` are what `train` stands on, for any other state and update.
"""

from ._calls import Call as Call, calls as calls
from ._config import Training as Training
from ._loop import Loop as Loop
from ._losses import read_losses as read_losses
from ._memory import training_memory as training_memory
from ._train import TrainingDiverged as TrainingDiverged, train as train
