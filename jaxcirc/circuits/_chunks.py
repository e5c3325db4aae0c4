"""How many examples fit into memory at once."""

from .._core import device_memory
from ..models import TransformerConfig

# Of the memory there is, and at most this many bytes: larger chunks are no faster.
_SHARE, _MOST = 0.25, 4e9


def chunk_size(
    config: TransformerConfig, n_examples: int, n_pos: int, runs: int, who: str
) -> int:
    """The number of examples that are worked on at once, at least 1.

    Args:
        config: Of the model.
        n_examples: How many there are.
        n_pos: Length of a sequence.
        runs: Forward passes that are held for each.
        who: Who asks, for the message.

    Raises:
        ValueError: a single example needs more than there is.
    """
    one = bytes_per_example(config, n_pos, runs)
    memory = device_memory()
    if memory is None:
        return min(n_examples, max(1, int(_MOST // one)))
    if one > memory:
        raise ValueError(
            f"{who}: one example of {n_pos} positions needs about {one / 1e9:.1f} GB, "
            f"and the device has {memory / 1e9:.1f} GB. Take shorter sequences, fewer "
            "steps at once, or a larger device."
        )
    return min(n_examples, max(1, int(min(memory * _SHARE, _MOST) // one)))


def require_room(config: TransformerConfig, n_examples: int, n_pos: int, who: str):
    """Refuse what looks at all examples together and has no room for them.

    Args:
        config: Of the model.
        n_examples: How many there are.
        n_pos: Length of a sequence.
        who: Who asks, for the message.

    Raises:
        ValueError: they need more memory than there is.
    """
    one, memory = bytes_per_example(config, n_pos, 1), device_memory()
    if memory is not None and n_examples * one > memory:
        raise ValueError(
            f"{who} looks at all {n_examples} examples together, which needs about "
            f"{n_examples * one / 1e9:.1f} GB, and the device has {memory / 1e9:.1f} "
            f"GB. Give at most {int(memory // one)} examples, or shorter ones."
        )


def bytes_per_example(config: TransformerConfig, n_pos: int, runs: int) -> int:
    """About how many bytes one example takes.

    What all sources write, of the clean run, of what is put in place and their
    difference; and for each run, activations of all layers for its backward pass, and
    gradients at the destinations of one layer.

    Args:
        config: Of the model.
        n_pos: Length of a sequence.
        runs: Forward passes that are held for each example.
    """
    c, s = config, config.sizes
    inputs = c.n_heads + 2 * s.n_kv_heads
    sources = 1 + c.n_layers * (c.n_heads + bool(s.d_mlp))
    written = 4 * sources * c.d_model
    layer = 8 * c.d_model + 3 * s.d_mlp + 4 * inputs * s.d_head + 3 * c.n_heads * n_pos
    run = c.n_layers * layer + 3 * s.d_vocab_out + 2 * (inputs + 1) * c.d_model
    return 4 * n_pos * (written + runs * run)
