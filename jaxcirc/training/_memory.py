"""How much memory training will take, from the compiler, without running it."""

import jax
import jax.numpy as jnp

from ..models import TransformerConfig
from ..tasks import AbstractTask
from ._advance import init_state, make_advance
from ._config import Training


def training_memory(
    config: TransformerConfig, task: AbstractTask, training: Training
) -> int:
    """Bytes that training will hold at its peak: weights, optimiser, activations.

    The compiler's own count for the program that `train` runs; nothing is executed.
    """
    state = jax.eval_shape(lambda: init_state(config, training))
    lowered = make_advance(training).lower(task, state, jnp.int32(1))  # pyright: ignore
    memory = lowered.compile().memory_analysis()
    return memory.argument_size_in_bytes + memory.temp_size_in_bytes
