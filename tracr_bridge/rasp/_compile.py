"""RASP expressions -> transformers of this library, exactly."""

import dataclasses
import functools
import importlib
import itertools
import numbers
from collections.abc import Iterable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool

from jaxcirc.models import Replace, Transformer, TransformerConfig

from ._compiled import CompiledModel, Exactness

BOS, PAD = "BOS", "PAD"
# Compiling compares at most this many sequences with the interpreter.
CHECKED = 300


def compile(  # noqa: A001
    program: Any,
    vocab: Iterable[Any],
    max_seq_len: int,
    *,
    causal: bool = False,
    bos: str = BOS,
    pad: str = PAD,
    mlp_exactness: int | None = None,
    check: int = CHECKED,
) -> CompiledModel:
    """A RASP program as a transformer (Lindner et al. 2023, "Tracr").

    tracr assembles the weights, which are copied into the stacked blocks of a
    `Transformer` without norms. Programs that count (through a selector's width, or
    length) are exact only if MLPs are sharp enough for the length, at 2 n (n + 1); that
    is chosen unless given. The result is compared with the RASP interpreter on sampled
    sequences, or on all where there are few; numerical answers may differ by 0.01.

    Args:
        program: A RASP expression (`tracr.rasp.rasp`), such as those of `programs`.
        vocab: The values that tokens may have.
        max_seq_len: Number of tokens of the longest sequence, BOS left out.
        causal: Whether positions see earlier ones only; the interpreter then follows
            its causal rule.
        bos: The token that every sequence starts with.
        pad: A token that is added to the vocabulary, as tracr does.
        mlp_exactness: Sharpness of the MLPs' steps; None for at least 100 and what
            counting needs.
        check: How many sequences to compare, at most; 0 for none.

    Returns:
        The program with its transformer, vocabulary, labels and what was checked.

    Raises:
        ImportError: tracr is not installed.
        ValueError: tracr cannot compile the program (all its reasons are listed), the
            vocabulary is empty or holds BOS or PAD, or the compiled model disagrees
            with the interpreter.

    Example:
        All 2 + 4 sequences of up to two tokens are compared.

        >>> from tracr_bridge.rasp import compile, programs
        >>> compiled = compile(programs.histogram(), "ab", 2)
        >>> compiled.exactness.inputs, compiled(["BOS", "a", "a"]).decoded
        (6, ['BOS', 2, 2])
    """
    tracr = _tracr()
    values = set(vocab)
    if not isinstance(program, tracr.rasp.RASPExpr):
        raise ValueError(f"compile: needs a RASP expression; got {program!r}.")
    whole = isinstance(max_seq_len, numbers.Integral)
    if not values or not whole or max_seq_len < 1:
        raise ValueError(
            "compile: needs a vocabulary and `max_seq_len`, a whole number of at least "
            f"1; got {sorted(map(repr, values))} and {max_seq_len!r}."
        )
    if {bos, pad} & values or bos == pad:
        raise ValueError(
            f"compile: {bos!r} and {pad!r} are added to the vocabulary and cannot be "
            "in it; give others with `bos` and `pad`."
        )
    needed = 2 * max_seq_len * (max_seq_len + 1) if _counts(program, tracr) else 0
    exactness = max(100, needed) if mlp_exactness is None else mlp_exactness
    try:
        # tracr relies on JAX's default promotion, whatever the caller has set.
        with (
            jax.numpy_dtype_promotion("standard"),
            jax.numpy_rank_promotion("allow"),
            importlib.import_module("haiku").intercept_methods(_undrawn),
        ):
            assembled = tracr.compiling.compile_rasp_to_model(
                program,
                values,
                max_seq_len,
                causal=causal,
                compiler_bos=bos,
                compiler_pad=pad,
                mlp_exactness=exactness,
            )
    except Exception as error:
        # tracr runs the program's own functions, which may raise anything.
        reason = str(error)
        if not isinstance(error, NotImplementedError | ValueError):
            reason = f"{type(error).__name__}: {error}"
        refused = f"compile: tracr refuses {program.label!r}: {reason}"
        raise ValueError(refused) from error
    model = convert(assembled, max_seq_len, causal=causal)
    inputs, outputs = assembled.input_encoder, assembled.output_encoder
    names = _part_names(assembled, model)
    compiled = CompiledModel(
        model=model,
        vocab=_by_id(inputs.encoding_map),
        output_values=_by_id(outputs.encoding_map)
        if hasattr(outputs, "encoding_map")
        else None,
        bos=bos,
        pad=pad,
        max_seq_len=max_seq_len,
        residual_labels=tuple(assembled.residual_labels),
        head_names=names[0],
        mlp_names=names[1],
        exactness=Exactness(exactness, needed, 0, False, 0.0),
    )
    return (
        _checked(compiled, program, values, causal, check, tracr) if check else compiled
    )


class _Tracr:
    """tracr's modules, loaded when they are needed."""

    def __init__(self):
        self.compiling = importlib.import_module("tracr.compiler.compiling")
        self.rasp = importlib.import_module("tracr.rasp.rasp")
        self.causal_eval = importlib.import_module("tracr.rasp.causal_eval")


def _tracr() -> _Tracr:
    """The modules of tracr.

    Raises:
        ImportError: tracr is not installed.
    """
    try:
        return _Tracr()
    except ImportError as error:
        raise ImportError(
            "tracr_bridge.compile needs tracr: pip install 'jaxcirc[tracr]'. Models "
            "that were saved load without it."
        ) from error


def _counts(program: Any, tracr: _Tracr) -> bool:
    """Whether the width of a selector is taken anywhere."""
    # Expressions share parts; without a note of them the walk would be exponential.
    found, todo = set(), [program]
    while todo:
        expression = todo.pop()
        if isinstance(expression, tracr.rasp.SelectorWidth | tracr.rasp.LengthType):
            return True
        for child in expression.children:
            if id(child) not in found:
                found.add(id(child))
                todo.append(child)
    return False


def _by_id(encoding: dict[Any, int]) -> tuple[Any, ...]:
    """The values of an encoding in the order of their ids."""
    return tuple(sorted(encoding, key=lambda value: encoding[value]))


def convert(assembled: Any, max_seq_len: int, *, causal: bool) -> Transformer:
    """Tracr's parameters as stacked blocks."""
    # In NumPy: every shape would take JAX a program for each of its operations.
    c, params = assembled.model_config, jax.device_get(assembled.params)
    W_E, W_pos = (params[f"{name}_embed"]["embeddings"] for name in ("token", "pos"))
    W_U = _unembedding(assembled, W_E.shape[1])
    config = TransformerConfig(
        d_vocab=W_E.shape[0],
        n_ctx=max_seq_len + 1,
        d_vocab_out=W_U.shape[1],
        n_layers=c.num_layers,
        d_model=W_E.shape[1],
        n_heads=c.num_heads,
        d_head=c.key_size,
        d_mlp=c.mlp_hidden_size,
        activation="relu",
        norm="none",
        causal=causal,
    )
    h, k, m = config.n_heads, config.sizes.d_head, config.d_model
    layers = []
    for i in range(config.n_layers):
        attn, mlp = (f"transformer/layer_{i}/{half}" for half in ("attn", "mlp"))
        layers.append(
            {
                "W_Q": params[f"{attn}/query"]["w"].reshape(m, h, k),
                "W_K": params[f"{attn}/key"]["w"].reshape(m, h, k),
                "W_V": params[f"{attn}/value"]["w"].reshape(m, h, k),
                "W_O": params[f"{attn}/linear"]["w"].reshape(h, k, m),
                "b_Q": params[f"{attn}/query"]["b"].reshape(h, k),
                "b_K": params[f"{attn}/key"]["b"].reshape(h, k),
                "b_V": params[f"{attn}/value"]["b"].reshape(h, k),
                "b_O": params[f"{attn}/linear"]["b"],
                "W_in": params[f"{mlp}/linear_1"]["w"],
                "W_out": params[f"{mlp}/linear_2"]["w"],
                "b_in": params[f"{mlp}/linear_1"]["b"],
                "b_out": params[f"{mlp}/linear_2"]["b"],
            }
        )
    stacked = {name: np.stack([layer[name] for layer in layers]) for name in layers[0]}
    # Only the structure is needed: every weight is put in below.
    model = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))

    def leaves(t: Transformer) -> list[Any]:
        attn, mlp = t.blocks.attn, t.blocks.mlp
        return [t.W_E, t.W_pos, t.W_U] + [
            getattr(mlp if hasattr(mlp, name) else attn, name) for name in stacked
        ]

    values = [x.astype(np.float32) for x in (W_E, W_pos, W_U, *stacked.values())]
    return eqx.tree_at(leaves, model, jax.device_put(values))


def _undrawn(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
    """A call of a haiku module whose weights in the transformer begin as zeros.

    The call itself is only followed, for the shapes of the weights.
    """
    haiku = importlib.import_module("haiku")

    def create(ordinary: Any, shape: Any, dtype: Any, init: Any, place: Any) -> Any:
        # tracr clears these before it writes its own. To draw them at random first
        # takes a program for each of their shapes.
        if "transformer" in place.module_name:
            return np.zeros(shape, dtype)
        return ordinary(shape, dtype, init)

    with haiku.custom_creator(create):
        where = (type(context.module).__name__, context.method_name)
        if where != ("CompiledTransformerModel", "__call__"):
            return call(*args, **kwargs)
        # Computed eagerly, each operation of a layer would be a program of its own.
        return jax.eval_shape(functools.partial(call, *args, **kwargs))


def _unembedding(assembled: Any, d_model: int) -> np.ndarray:
    """The projection that tracr keeps in a closure, read off on a basis."""
    haiku = importlib.import_module("haiku")

    def read(x: np.ndarray) -> np.ndarray:
        return assembled.get_compiled_model().unembed(x, use_unembed_argmax=False)

    pure = haiku.without_apply_rng(haiku.transform(read))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        found = np.asarray(pure.apply(assembled.params, np.eye(d_model)[None]))[0]
    return found.reshape(d_model, -1)


def _part_names(
    assembled: Any, model: Transformer
) -> tuple[tuple[tuple[int, int, str], ...], tuple[tuple[int, str], ...]]:
    """What each head and MLP writes, by the labels of the directions it writes to."""
    labels = assembled.residual_labels
    attn, mlp = model.blocks.attn, model.blocks.mlp
    assert mlp is not None
    heads, mlps = [], []
    written = np.abs(np.asarray(attn.W_O)).max(axis=2)
    for layer, head in itertools.product(*map(range, written.shape[:2])):
        name = _label(labels, np.asarray(attn.W_O)[layer, head])
        if name:
            heads.append((layer, head, name))
    for layer in range(model.config.n_layers):
        name = _label(labels, np.asarray(mlp.W_out)[layer])
        if name:
            mlps.append((layer, name))
    return tuple(heads), tuple(mlps)


def _label(labels: Sequence[str], weights: np.ndarray) -> str:
    """The variables that a matrix writes to: labels up to their value."""
    used = np.abs(weights).max(axis=0) > 0
    variables = (label.rpartition(":")[0] or label for label in np.array(labels)[used])
    return ", ".join(dict.fromkeys(variables))


def _checked(
    compiled: CompiledModel,
    program: Any,
    values: set,
    causal: bool,
    check: int,
    tracr: _Tracr,
) -> CompiledModel:
    """The compiled program with what a comparison with the interpreter found.

    Raises:
        ValueError: the model and the interpreter disagree on a sequence.
    """
    sequences, exhaustive = sample_inputs(values, compiled.max_seq_len, check)
    largest = 0.0
    for said, sequence in zip(run_many(compiled, sequences), sequences, strict=True):
        expected = interpret(program, sequence, causal=causal, tracr=tracr)
        for place, (a, b) in enumerate(zip(said, expected, strict=True)):
            if b is None:
                continue  # the program says nothing here
            if compiled.categorical:
                wrong = a != b
            else:
                largest = max(largest, abs(float(a) - float(b)))
                # Asked this way round, NaN is wrong.
                wrong = not abs(float(a) - float(b)) <= 1e-2
            if wrong:
                raise ValueError(
                    f"compile: the model of {program.label!r} says {a!r} at position "
                    f"{place} of {sequence}, and the interpreter {b!r}. "
                    + _advice(compiled)
                )
    found = compiled.exactness._replace(
        inputs=len(sequences), exhaustive=exhaustive, largest_error=largest
    )
    return dataclasses.replace(compiled, exactness=found)


def _advice(compiled: CompiledModel) -> str:
    """A sentence that says what to do about a model that is not exact."""
    low = compiled.exactness.mlp_exactness < compiled.exactness.needed
    if low:
        return f"`mlp_exactness` must be at least {compiled.exactness.needed} here."
    return (
        "Some RASP that tracr accepts cannot be compiled: categorical aggregates over "
        "several positions, defaults that are not None, selectors whose keys are "
        "selector widths."
    )


def interpret(
    program: Any, sequence: Sequence[Any], *, causal: bool, tracr: Any = None
) -> list[Any]:
    """What RASP's own interpreter says of a sequence without BOS."""
    tracr = tracr or _tracr()
    if causal:
        return list(tracr.causal_eval.evaluate(program, list(sequence)))
    return list(program(list(sequence)))


def run_many(
    compiled: CompiledModel, sequences: Sequence[Sequence[Any]]
) -> list[list[Any]]:
    """What the model says of sequences without BOS, all in one batch.

    Shorter ones are filled up at the end, and no position may attend to what was filled
    in, so that one shape and one compilation serve every length.
    """
    longest = compiled.max_seq_len + 1
    ids = np.zeros((len(sequences), longest), np.int32)
    filled = np.ones((len(sequences), longest), bool)
    for row, sequence in enumerate(sequences):
        own = compiled.encode([compiled.bos, *sequence])
        ids[row, : len(own)], filled[row, : len(own)] = own, False
    logits = np.asarray(_masked(compiled.model, *jax.device_put((ids, filled))))
    return [
        compiled.decode(out[: len(sequence) + 1])[1:]
        for out, sequence in zip(logits, sequences, strict=True)
    ]


@eqx.filter_jit
def _masked(model: Transformer, ids: Array, filled: Array) -> Array:
    """Logits of sequences of which some positions were only filled in."""
    hide = hide_positions(model, filled)
    with jax.default_matmul_precision("highest"):
        return model(ids, edits=(hide,), loop="scan")


def hide_positions(model: Transformer, filled: Bool[Array, "batch pos"]) -> Replace:
    """An edit under which no position attends to what was only filled in."""
    lowest = jnp.finfo(jnp.float32).min
    where = jnp.broadcast_to(
        filled[None, :, None, None],
        (model.config.n_layers, *filled[:, None, None].shape),
    )
    return Replace("attn.scores", jnp.full_like(where, lowest, jnp.float32), where)


def sample_inputs(
    values: Iterable[Any], max_seq_len: int, most: int, *, seed: int = 0
) -> tuple[list[list[Any]], bool]:
    """Sequences to check on: all of them if there are at most `most`, else some.

    Returns:
        The sequences, without BOS, and whether they are all that there are. Random ones
        are of every length, half of them of the longest.
    """
    ordered = sorted(values, key=lambda v: (str(type(v)), v))
    total = sum(len(ordered) ** n for n in range(1, max_seq_len + 1))
    if total <= most:
        every = (
            list(t)
            for n in range(1, max_seq_len + 1)
            for t in itertools.product(ordered, repeat=n)
        )
        return list(every), True
    rng = np.random.default_rng(seed)
    found = []
    for i in range(most):
        n = max_seq_len if i % 2 else int(rng.integers(1, max_seq_len + 1))
        found.append([ordered[j] for j in rng.integers(0, len(ordered), n)])
    return found, False
