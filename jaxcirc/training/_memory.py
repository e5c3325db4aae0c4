"""How much memory training will take, from the compiler, without running it."""

import jax

from ..models import TransformerConfig
from ..objectives import CrossEntropy
from ..tasks import AbstractTask
from ._advance import Lesson, init_state, make_loop
from ._config import Training


def training_memory(
    config: TransformerConfig, task: AbstractTask, training: Training
) -> int:
    """Bytes that training will hold at its peak: weights, optimiser, activations.

    It is the compiler's own count for the program that `train` runs, of arguments and
    temporary arrays; nothing is executed, but the compilation takes as long as that of
    training. Seeds and batches of other sizes take other amounts; checkpoints being
    saved, and what the process holds besides, come on top.

    Args:
        config: The model.
        task: What it is trained on, whose data are counted too.
        training: How it is trained.
    """
    state = jax.eval_shape(lambda: init_state(config, training))
    return make_loop(training).memory(state, Lesson(task, CrossEntropy()))
