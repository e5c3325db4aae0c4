"""Train models from a task, many seeds as one program, and keep their checkpoints."""

from ._config import Training as Training
from ._loop import TrainingDiverged as TrainingDiverged, train as train
from ._losses import read_losses as read_losses
from ._memory import training_memory as training_memory
from ._objective import example_losses as example_losses, mean_loss as mean_loss
