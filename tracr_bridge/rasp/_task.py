"""A program as a task: its sequences, its answers, and a model that has them right."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Int, Key

from jaxcirc._core import find
from jaxcirc.models import Transformer
from jaxcirc.tasks import AbstractTask, Batch, Split

from ._classifier import classifier
from ._compile import BOS, PAD, compile  # noqa: A004
from ._compiled import CompiledModel
from .programs import PROGRAMS, ProgramSpec


class ProgramTask(AbstractTask):
    """Sequences of one length behind BOS, with the program's answer at each position.

    Answers are classes, also where the program says numbers: the values that occur.
    Train and test share no sequence. Ids are the program's vocabulary in its own order,
    then BOS and PAD; PAD is not used. Where the program says nothing, and at BOS, the
    mask is false.

    Attributes:
        program: Name of the program.
        vocab: What each input id stands for.
        answers: What each target stands for, ascending.
        d_vocab: Number of input ids.
        n_ctx: Number of positions, BOS included.
        train: Sequences to train on, with answers.
        test: Sequences held out.

    Args:
        spec: The program.
        n: Sequences in all; fewer where there are not so many different ones.
        train_fraction: Share of them to train on.
        seed: Of the sequences.

    Raises:
        ValueError: there are fewer than two different answers, or a split is empty.
    """

    program: str = eqx.field(static=True)
    vocab: tuple[Any, ...] = eqx.field(static=True)
    answers: tuple[Any, ...] = eqx.field(static=True)
    d_vocab: int = eqx.field(static=True)
    n_ctx: int = eqx.field(static=True)
    train: Batch
    test: Batch

    def __init__(self, spec: ProgramSpec, n: int, train_fraction: float, seed: int):
        sequences = spec.sequences(n, seed=seed)
        said = [spec.reference(s) for s in sequences]
        values = {a for row in said for a in row if a is not None}
        n_train = round(train_fraction * len(sequences))
        # A single answer has no loss to learn from, and no solution to measure.
        if len(values) < 2 or not 0 < n_train < len(sequences):
            raise ValueError(
                f"rasp: {len(sequences)} sequences of {spec.name} have {len(values)} "
                f"different answers, and `train_fraction` = {train_fraction} puts "
                f"{n_train} of them into the train split; needs two answers and two "
                "splits that are not empty. The task's sequences all have one length."
            )
        self.program, self.vocab = spec.name, (*spec.vocab, BOS, PAD)
        self.answers = tuple(sorted(values))
        self.d_vocab, self.n_ctx = len(self.vocab), spec.max_seq_len + 1
        ids = {v: i for i, v in enumerate(self.vocab)}
        places = {v: i for i, v in enumerate(self.answers)}
        tokens = np.array([[ids[BOS], *(ids[t] for t in s)] for s in sequences])
        # The program says nothing at BOS, nor where its answer is None.
        targets = np.array([[-1, *(places.get(a, -1) for a in row)] for row in said])
        # Divided in NumPy: JAX would take a program for every length.
        tokens, answers = (x.astype(np.int32) for x in (tokens, np.maximum(targets, 0)))
        whole = (tokens, answers, targets >= 0)
        self.train = Batch(*jax.device_put([x[:n_train] for x in whole]))
        self.test = Batch(*jax.device_put([x[n_train:] for x in whole]))

    @property
    def d_vocab_out(self) -> int:
        """Number of answers."""
        return len(self.answers)

    def examples(self, split: Split) -> Batch:
        """Every sequence of a split.

        Args:
            split: `train` or `test`.
        """
        return self.train if split == "train" else self.test

    def sample(self, n: int, *, split: Split = "train", key: Key[Array, ""]) -> Batch:
        """Sequences of a split, drawn with replacement.

        Args:
            n: How many sequences.
            split: `train` or `test`.
            key: The sequences are drawn from it.
        """
        whole = self.examples(split)
        rows = jr.randint(key, (n,), 0, whole.tokens.shape[0])
        return jax.tree.map(lambda x: x[rows], whole)

    def corrupt(self, batch: Batch, *, key: Key[Array, ""]) -> Batch:
        """The one of 16 random train sequences that changes most answers, for each.

        Args:
            batch: Examples of this task.
            key: The 16 are drawn from it.
        """
        example = batch.tokens.shape[:-1]
        # A single other sequence often has the same answer.
        rows = jr.randint(key, (*example, 16), 0, self.train.tokens.shape[0])
        offered = jax.tree.map(lambda x: x[rows], self.train)
        changed = _changed(batch, offered).sum(axis=-1)
        best = changed.argmax(axis=-1)[..., None, None]
        return jax.tree.map(
            lambda x: jnp.take_along_axis(x, best, axis=-2)[..., 0, :], offered
        )

    def positions(
        self, batch: Batch, end: Int[Array, " example"]
    ) -> dict[str, Int[Array, " example"]]:
        """The position `bos`, which stands before every sequence.

        Args:
            batch: Examples of this task.
            end: The position of each whose answer is asked for.
        """
        del batch
        return {"bos": jnp.zeros_like(end)}

    def solution(self) -> Transformer:
        """The compiled program, with this task's ids and one logit per answer.

        Raises:
            ImportError: tracr is not installed.
        """
        whole = [
            np.concatenate(pair)
            for pair in zip(
                *(jax.device_get((b.targets, b.mask)) for b in (self.train, self.test)),
                strict=True,
            )
        ]
        targets, mask = whole
        rows, places = np.nonzero(mask)
        possible = np.zeros((self.n_ctx, len(self.answers)), bool)
        possible[places, targets[rows, places]] = True
        # Only answers that occur at a position have to be told apart there, which
        # keeps logits small.
        return classifier(
            compile_named(self.program), self.vocab, self.answers, possible
        )

    def decode(self, tokens: Int[Array, " pos"]) -> list[str]:
        """The program's tokens as text.

        Args:
            tokens: Ids of the task.
        """
        return [str(self.vocab[t]) for t in np.asarray(tokens).tolist()]

    def describe(self) -> dict[str, str]:
        """The program and the sizes of its splits."""
        return {
            "problem": f"the RASP program {self.program.replace('_', ' ')}",
            "sequences": f"{self.n_ctx - 1} tokens of {len(self.vocab) - 2} values",
            "answers": f"{len(self.answers)} different ones",
            "train": f"{len(self.train.tokens):,} sequences",
            "test": f"{len(self.test.tokens):,} sequences, none of them in train",
        }


def _changed(batch: Batch, offered: Batch) -> Bool[Array, "*example offer pos"]:
    """Where both have an answer and the two differ."""
    differ = batch.targets[..., None, :] != offered.targets
    return differ & batch.mask[..., None, :] & offered.mask


def program_task(
    program: str,
    *,
    n_examples: int = 8192,
    train_fraction: float = 0.8,
    split_seed: int = 0,
) -> ProgramTask:
    """A program of the catalogue as a task; tracr is not needed.

    The answers come from a plain reference in Python. All sequences have the program's
    longest length, edge cases are among them, and they are balanced over kinds of
    answer where random ones would nearly all have the same. The same arguments give the
    same sequences.

    Args:
        program: Name of the program; `jaxcirc list` has them.
        n_examples: Sequences in both splits together, at most; fewer where there are no
            more.
        train_fraction: Share of them to train on, in (0, 1).
        split_seed: Decides which sequences there are, and which of them are held out.

    Returns:
        The task, whose `solution()` is the compiled program.

    Raises:
        ValueError: there is no such program, or a split or its answers are too few.

    Example:
        >>> from tracr_bridge.rasp import program_task
        >>> task = program_task("histogram", n_examples=10, train_fraction=0.8)
        >>> task.train.tokens.shape, task.test.tokens.shape
        ((8, 11), (2, 11))
    """
    spec = find(PROGRAMS, program, kind="RASP program")
    return ProgramTask(spec, n_examples, train_fraction, split_seed)


@functools.cache
def compile_named(program: str) -> CompiledModel:
    """A program of the catalogue, compiled once per process.

    It is compiled for the vocabulary and the length of its row and compared with the
    interpreter on 300 sequences, or all, which takes a few seconds; later calls return
    the same object. A vocabulary or length of your own is what `compile` takes.

    Args:
        program: Name of the program; `jaxcirc list` has them.

    Returns:
        The program with its transformer, vocabulary and labels.

    Raises:
        ImportError: tracr is not installed.
        ValueError: there is no such program.
    """
    spec = find(PROGRAMS, program, kind="RASP program")
    return compile(spec.build(), spec.vocab, spec.max_seq_len, causal=spec.causal)
