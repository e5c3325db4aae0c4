"""What a measurement gives: named arrays that know their axes, units and meaning."""

from collections.abc import Mapping
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

# What a quantity is for: a result over training, whose changes mean something; numbers
# too many to list, such as single draws; or what judges and explains other results.
Role = Literal["series", "detail", "diagnostic"]


def _reported(values: Array | np.ndarray) -> Array | np.ndarray:
    """Half precision as float32, which files and readers of results know."""
    # While a program is traced, other objects stand for arrays.
    is_real = hasattr(values, "dtype") and jnp.issubdtype(values.dtype, jnp.floating)
    narrow = is_real and values.dtype.itemsize < 4
    return values.astype(jnp.float32) if narrow else values


class Quantity(eqx.Module):
    """A measured array with the names of its axes, its units and what it means.

    Args:
        values: The numbers. Real ones are reported in float32 or wider, whatever the
            model's type.
        dims: A name for each axis. The runner puts `step` and `seed` before them.
        units: Such as `nats`; empty for a pure number.
        meaning: What the number says, in a few words.
        chance: Its value for a model that knows nothing, where that is defined.
        role: Who reads it. A `series` is looked through for changes, drawn and listed;
            a `diagnostic` is only listed; a `detail` is only drawn, by a section of its
            own.
        codes: What the whole numbers from 0 on stand for, where the values are codes.
        since_previous: Whether it compares with the checkpoint before. The runner
            writes NaN where there is none.

    Example:
        >>> Quantity(jnp.array(0.5), (), "share", "right answers", chance=0.1).units
        'share'
    """

    values: Array | np.ndarray = eqx.field(converter=_reported)
    dims: tuple[str, ...] = eqx.field(static=True)
    units: str = eqx.field(static=True)
    meaning: str = eqx.field(static=True)
    chance: float | None = eqx.field(static=True, default=None)
    role: Role = eqx.field(static=True, default="series")
    codes: tuple[str, ...] = eqx.field(static=True, default=())
    since_previous: bool = eqx.field(static=True, default=False)

    def attributes(self) -> dict[str, Any]:
        """Everything but the numbers, as attributes of a netCDF variable.

        Codes follow the CF conventions: `flag_values` and `flag_meanings`.
        """
        about: dict[str, Any] = {
            "units": self.units,
            "long_name": self.meaning,
            "role": self.role,
        }
        if self.chance is not None:
            about["chance"] = self.chance
        if self.codes:
            about["flag_values"] = np.arange(len(self.codes), dtype=np.int32)
            # Meanings are told apart by blanks, so that none may hold one.
            about["flag_meanings"] = " ".join(w.replace(" ", "_") for w in self.codes)
        return about


class Failure(eqx.Module):
    """The reason why a result cannot be used, decided while it is computed.

    Args:
        count: Number of things that are wrong; the result is good where it is 0.
        reason: A sentence, with `{count}` where the number belongs.
    """

    count: Array | np.ndarray
    reason: str = eqx.field(static=True)


class Outcome(eqx.Module):
    """All that a measurement gives for one checkpoint, or for a whole study.

    Args:
        quantities: The numbers by name, which go into curves, tables and CSV.
        artefacts: Arrays that other rows or later sessions take up, such as masks and
            dictionaries, by name. Each is a pytree; it becomes a safetensors file
            beside the cell, whose hash the cell holds.
        failure: Why the numbers cannot be used, if they cannot. They are kept, and the
            cell says so.

    Example:
        >>> from jaxcirc.study import Outcome, Quantity
        >>> found = Outcome({"loss": Quantity(jnp.array(2.5), (), "nats", "mean loss")})
        >>> found.quantities["loss"].attributes()["long_name"]
        'mean loss'
    """

    quantities: dict[str, Quantity]
    artefacts: Mapping[str, PyTree] = eqx.field(default_factory=dict)
    failure: Failure | None = None


def checked(found: Any, lead: int = 0) -> Outcome:
    """What a measurement returned, once it is known that it can be labelled.

    Args:
        found: What it returned.
        lead: Axes that a measurement puts before its own: checkpoint and seed where it
            sees several models, else none.

    Raises:
        ValueError: it is no `Outcome`, or a quantity's axes are not those of its array.
    """
    if not isinstance(found, Outcome):
        raise ValueError(
            f"a measurement must return an `Outcome`; got {type(found).__name__}. "
            "Return `Outcome({name: Quantity(values, dims, units, meaning)})`."
        )
    for name, quantity in found.quantities.items():
        dims, shape = quantity.dims, np.shape(quantity.values)
        if taken := {"step", "seed"} & set(dims):
            raise ValueError(
                f"quantity {name!r}: {min(taken)!r} is an axis that every result has, "
                "and the runner puts it there; call this one something else."
            )
        if len(shape) != lead + len(dims):
            raise ValueError(
                f"quantity {name!r}: `dims` must name each of the axes "
                f"{list(shape[lead:])}; got {list(dims)}."
            )
    return found
