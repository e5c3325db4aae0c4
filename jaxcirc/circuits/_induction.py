"""A model of two layers that does induction by construction."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ..models import Transformer, TransformerConfig
from ..tasks import Induction


def induction_by_hand(
    task: Induction, *, copies: int = 1, sharpness: float = 10.0
) -> Transformer:
    """A previous-token head and an induction head whose weights are written by hand.

    Head `L0Hi` attends to the position before and writes down which token is there;
    head `L1Hi` looks for the position behind an earlier occurrence of its own token and
    copies what stands there to the logits (Olsson et al. 2022, "In-context learning and
    induction heads"). Every weight is 0 but those that this takes, so the edges with an
    effect are known without measuring anything. Where a partner has other tokens, also
    at the end, they are

        embed->L0Hi.v, L0Hi->L1Hi.k, embed->L1Hi.q, embed->L1Hi.v, L1Hi->logits

    for each copy i, and no others; the third has none on the task's own pairs, which
    end with the same token. The residual stream has a direction for each token
    and each position, one for each token before, for each copy, and one for each token
    that is said. There are no MLPs, norms or tied weights.

    Args:
        task: Which tokens there are, and how long a sequence is.
        copies: How many times there are both heads, at least 1, each pair by itself;
            the copies share the answer evenly.
        sharpness: Score of what a head looks for, where all else has 0; the answer's
            lead in logits has the same size.

    Returns:
        A model of two layers with `copies` heads each.

    Raises:
        ValueError: there are no copies, or the sharpness is not positive.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc import circuits
        >>> from jaxcirc.tasks import Induction
        >>> task = Induction(n_symbols=7, n_ctx=9, shortest=3, longest=4)
        >>> batch = task.sample(20, key=jr.key(0))
        >>> said = circuits.induction_by_hand(task)(batch.tokens).argmax(axis=-1)
        >>> bool(((said == batch.targets) | ~batch.mask).all())
        True
    """
    if copies < 1 or not sharpness > 0:
        raise ValueError(
            f"induction_by_hand: needs at least one copy and a positive sharpness; got "
            f"copies={copies} and sharpness={sharpness}."
        )
    v, n = task.d_vocab, task.n_ctx
    config = TransformerConfig(
        d_vocab=v,
        n_ctx=n,
        n_layers=2,
        d_model=(2 + copies) * v + n,
        n_heads=copies,
        d_head=max(v, n),
        norm="none",
        # The scores are those that are written down.
        attention_scale=1.0,
    )
    empty = jax.tree.map(jnp.zeros_like, Transformer(config, key=jr.key(0)))
    return _written_down(empty, copies, sharpness)


def _written_down(empty: Transformer, copies: int, sharpness: float) -> Transformer:
    """The model with the weights that induction takes."""
    c = empty.config
    v, n, d_head = c.d_vocab, c.n_ctx, c.sizes.d_head
    # Places of the residual stream; what the last of them says are the logits.
    token, place, said = np.arange(v), v + np.arange(n), v + n + np.arange(v)
    W_Q, W_K, W_V = np.zeros((3, 2, c.d_model, copies, d_head), np.float32)
    W_O = np.zeros((2, copies, d_head, c.d_model), np.float32)
    W_pos, W_U = np.zeros((n, c.d_model)), np.zeros((c.d_model, v))
    W_pos[np.arange(n), place] = 1
    W_U[said, token] = sharpness / copies
    for i in range(copies):
        before = (2 + i) * v + n + token
        # Position p asks for p - 1, which the first one has nothing to answer with.
        W_Q[0, place[1:], i, np.arange(n - 1)] = sharpness
        W_K[0, place, i, np.arange(n)] = 1
        W_V[0, token, i, token] = W_O[0, i, token, before] = 1
        W_Q[1, token, i, token] = sharpness
        W_K[1, before, i, token] = W_V[1, token, i, token] = 1
        W_O[1, i, token, said] = 1
    weights = (np.eye(v, c.d_model), W_pos, W_U, W_Q, W_K, W_V, W_O)

    def places(m: Transformer) -> list:
        attn = m.blocks.attn
        return [m.W_E, m.W_pos, m.W_U, attn.W_Q, attn.W_K, attn.W_V, attn.W_O]

    return eqx.tree_at(places, empty, [jnp.asarray(w, jnp.float32) for w in weights])
