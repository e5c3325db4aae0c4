"""A model with one head of each role, whose weights are written down."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Int, Key

from .._core import fold_name
from ..models import Transformer, TransformerConfig
from ..tasks import Pairs

# Words of the prompts: `[BOS] A and B went . B VERB it TO`, where each of the last word
# calls for one of the verbs.
_NAMES = tuple(["Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gwen", "Hugo"])
_VERBS, _TO = ("gave", "sent", "sold"), ("to", "for", "with")
_ORDER = tuple(["mon", "tue", "wed", "thu", "fri", "sat"])
WORDS = ("BOS", *_NAMES, *_VERBS, *_TO, *_ORDER, "and", "went", ".", "it")
N_POS = 10
# Which head plays which role; `L2H1` plays none.
PLAYERS = {
    "previous_token": "L0H0",
    "duplicate_token": "L0H1",
    "induction": "L1H0",
    "successor": "L1H1",
    "s2_inhibition": "L2H0",
    "name_mover": "L3H0",
    "negative_name_mover": "L3H1",
    "backup": "L4H0",
    "copy_suppression": "L4H1",
}


class RolesByHand(NamedTuple):
    """A model in which every role is played by one head, and its language.

    Args:
        model: The model.
        words: Its tokens.
        players: Role -> name of the head that plays it; `L2H1` plays none.
        classes: Token ids of the one ordered class of words.
    """

    model: Transformer
    words: tuple[str, ...]
    players: dict[str, str]
    classes: tuple[tuple[int, ...], ...]

    def pairs(self, n: int, *, key: Key[Array, ""]) -> Pairs:
        """Prompts of indirect object identification, corrupted by three other names.

        Half have IO first and half S, in turn. Positions are IO, S1, S1+1, S2 and end.

        Args:
            n: How many.
            key: Of the names and verbs.
        """
        names = jnp.asarray([self.words.index(name) for name in _NAMES])
        keys = jr.split(fold_name(key, "names"), n)
        drawn = jax.vmap(lambda k: jr.permutation(k, names)[:5])(keys)
        verb = jr.randint(fold_name(key, "verbs"), (n,), 0, len(_VERBS))
        io_first = jnp.arange(n) % 2 == 0
        clean = self._prompt(drawn[:, jnp.array([0, 1, 1])], verb, io_first)
        corrupted = self._prompt(drawn[:, 2:], verb, io_first)
        first, second = jnp.where(io_first, 1, 3), jnp.where(io_first, 3, 1)
        positions = {
            "IO": first,
            "S1": second,
            "S1+1": second + 1,
            "S2": jnp.full(n, 6),
            "end": jnp.full(n, N_POS - 1),
        }
        return Pairs(clean, corrupted, drawn[:, :1], drawn[:, 1:2], positions)

    def _prompt(self, names, verb, a_first) -> Int[Array, "example pos"]:
        """Prompts with the names a and b, or b and a, and then c."""
        a, b, c = names.T
        of = lambda words: jnp.asarray([self.words.index(word) for word in words])
        fixed = lambda word: jnp.full(len(a), self.words.index(word))
        first, second = jnp.where(a_first, a, b), jnp.where(a_first, b, a)
        columns = (
            fixed("BOS"), first, fixed("and"), second, fixed("went"), fixed("."), c,
            of(_VERBS)[verb], fixed("it"), of(_TO)[verb],
        )  # fmt: skip
        return jnp.stack(columns, axis=1)


def roles_by_hand(*, sharpness: float = 20.0) -> RolesByHand:
    """A model of five layers with one head of each role, and one that plays none.

    Ground truth for `head_roles`, and for what follows roles over training: `planted`
    makes a run of it in which each head comes in at a step of your own. There are no
    MLPs, norms or biases; every weight is 0 but those that the algorithm takes (Wang et
    al. 2023):

    - `L0H1` finds at S2 that the name was there before, and writes where: S1's place;
      `L1H0` finds the same by way of what `L0H0` has written about the token before.
      Each writes one half of it.
    - `L2H0` attends from the end to what has been found, and tells both places of S.
    - `L3H0` attends from the end to names, but not at those places: it copies IO.
      `L3H1` does the same and writes half of it with the other sign.
    - `L4H0` attends to names that nobody has said yet, and copies: it does so only when
      `L3H0` says another name. `L4H1` attends to the token that the stream predicts
      most and takes it back: the verb, which the last word calls for.
    - `L1H1` rests, and its output matrix turns each day of the week into the next.

    Args:
        sharpness: Score of what a head looks for, where all else has at most half.

    Returns:
        The model, its words, who plays what, and `pairs` to ask it.

    Raises:
        ValueError: the sharpness is not positive.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc import circuits
        >>> world = circuits.roles_by_hand()
        >>> pairs = world.pairs(2, key=jr.key(0))
        >>> " ".join(world.words[t] for t in pairs.clean[0])
        'BOS Dan and Gwen went . Gwen sold it with'
        >>> said = world.model(pairs.clean)[:, -1].argmax(axis=-1)
        >>> [world.words[t] for t in said]
        ['Dan', 'Ben']
    """
    if not sharpness > 0:
        raise ValueError(
            f"roles_by_hand: `sharpness` must be positive; got {sharpness}."
        )
    config = TransformerConfig(
        d_vocab=len(WORDS),
        n_ctx=2 * N_POS + 1,
        n_layers=5,
        d_model=_Places.size,
        n_heads=2,
        d_head=len(WORDS) + 2 * N_POS + 3,
        norm="none",
        # The scores are those that are written down.
        attention_scale=1.0,
    )
    empty = jax.tree.map(jnp.zeros_like, Transformer(config, key=jr.key(0)))
    pen = _Pen(config, sharpness)
    pen.write()
    model = eqx.tree_at(
        lambda m: [
            m.W_E, m.W_pos, m.W_U,
            *(getattr(m.blocks.attn, f"W_{name}") for name in "QKVO"),
        ],
        empty,
        [jnp.asarray(w, jnp.float32) for w in pen.weights],
    )  # fmt: skip
    order = tuple(WORDS.index(word) for word in _ORDER)
    return RolesByHand(model, WORDS, dict(PLAYERS), (order,))


class _Places:
    """Directions of the residual stream, a block for each kind of fact."""

    v, n = len(WORDS), 2 * N_POS + 1
    token, place = np.arange(v), v + np.arange(n)
    before = v + n + np.arange(v)  # the token before this one
    found = 2 * v + n + np.arange(n)  # where this token was before
    barred = 2 * v + 2 * n + np.arange(n)  # places at which no name is to be taken
    said = 2 * v + 3 * n + np.arange(v)
    size = 3 * v + 3 * n


class _Pen:
    """Writes the weights down, head by head."""

    def __init__(self, config: TransformerConfig, sharpness: float):
        self.s, v = sharpness, config.d_vocab
        shape = (config.n_layers, config.d_model, 2, config.sizes.d_head)
        self.Q, self.K, self.V = np.zeros((3, *shape), np.float32)
        self.O = np.zeros((shape[0], 2, shape[3], shape[1]), np.float32)
        self.W_E = np.eye(v, config.d_model, dtype=np.float32)
        self.W_pos = np.zeros((config.n_ctx, config.d_model), np.float32)
        self.W_pos[np.arange(config.n_ctx), _Places.place] = 1
        self.W_U = np.zeros((config.d_model, v), np.float32)
        self.W_U[_Places.said, _Places.token] = 5

    @property
    def weights(self) -> tuple[np.ndarray, ...]:
        """All of them, in the order of the model."""
        return self.W_E, self.W_pos, self.W_U, self.Q, self.K, self.V, self.O

    def write(self) -> None:
        """The whole algorithm."""
        p = _Places
        ids = lambda words: np.array([WORDS.index(word) for word in words])
        names, verbs, to, order = map(ids, (_NAMES, _VERBS, _TO, _ORDER))
        # The last word calls for its verb, which is said unless somebody objects.
        self.W_E[to, p.said[verbs]] = 2
        self._rest((1, 0), (0, 1), (1, 1), (2, 0), (2, 1))
        self._rest((3, 0), (3, 1), (4, 0), (4, 1))
        # Position q asks for q - 1, which the first one has nothing to answer with.
        back = np.arange(1, p.n)
        self.match((0, 0), p.place[back], p.place[back - 1], self.s)
        self.move((0, 0), p.token, p.before, 1)
        self.match((0, 1), p.token, p.token, self.s)
        # A token is like itself, too: not the one that asks.
        self.match((0, 1), p.place, p.place, -2 * self.s, first=p.v)
        self.move((0, 1), p.place, p.found, 0.5)
        self.match((1, 0), p.token, p.before, self.s)
        self.move((1, 0), p.place[1:], p.found[:-1], 0.5)
        self.move((1, 1), p.token[order[:-1]], p.said[order[1:]], 1)
        self.any_of((2, 0), p.token[to], p.found[1:], self.s)
        self.move((2, 0), p.found, p.barred, 1)
        self.move((2, 0), p.place, p.barred, 1, first=p.n)
        for head, sign in (((3, 0), 1), ((3, 1), -0.5), ((4, 0), 1)):
            self.any_of(head, p.token[to], p.token[names], self.s)
            self.match(head, p.barred, p.place, -2 * self.s)
            # Nothing is copied of the first token, to which heads attend at rest.
            self.move(head, p.token[1:], p.said[1:], sign)
        self.match((4, 0), p.said, p.token, -3 * self.s, first=p.n)
        self.match((4, 1), p.said, p.token, self.s)
        self.move((4, 1), p.token[1:], p.said[1:], -2)

    def _rest(self, *heads: tuple[int, int]) -> None:
        """Heads that find nothing attend to the first token, which says nothing."""
        for layer, head in heads:
            self.Q[layer, _Places.place, head, -1] = self.s / 2
            self.K[layer, 0, head, -1] = 1

    def match(self, at, asks, answers, score, first: int = 0) -> None:
        """Equal entries of two blocks of directions add to the score, one by one."""
        layer, head = at
        use = first + np.arange(len(asks))
        self.Q[layer, asks, head, use] = score
        self.K[layer, answers, head, use] = 1

    def any_of(self, at, asks, answers, score) -> None:
        """Any of some directions asks for any of others."""
        layer, head = at
        self.Q[layer, asks, head, -2] = score
        self.K[layer, answers, head, -2] = 1

    def move(self, at, reads, writes, by, first: int = 0) -> None:
        """What is read at the place attended to is written elsewhere."""
        layer, head = at
        use = first + np.arange(len(reads))
        self.V[layer, reads, head, use] = 1
        self.O[layer, head, use, writes] = by
