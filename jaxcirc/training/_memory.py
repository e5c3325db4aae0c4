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

    It is the compiler's own count for the program that `train` runs; the program is
    compiled, and nothing is executed. What other programs of the process hold, and the
    objective's own arrays, are not in it.

    Args:
        config: The model.
        task: What it is trained on, whose data are counted too.
        training: How; seeds and batches of other sizes take other amounts.

    Returns:
        Bytes, of arguments and temporary arrays together.
    """
    state = jax.eval_shape(lambda: init_state(config, training))
    return make_loop(training).memory(state, Lesson(task, CrossEntropy()))
