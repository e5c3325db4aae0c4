"""A run's checkpoints as a trajectory that finds out which are the same."""

import functools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from jaxcirc._core import equal_weights, weights_digest
from jaxcirc.checkpoints import CheckpointError, Trajectory
from jaxcirc.models import Transformer, TransformerConfig

from ._series import Series


def watched(source: str, series: Series, chosen: Mapping[int, str]) -> Trajectory:
    """A series as a trajectory.

    Args:
        source: Where it is, for messages and the record.
        series: What its checkpoints are called, and how one is read.
        chosen: Step -> name, of those that are wanted.

    Raises:
        ValueError: the config of no checkpoint can be read.
    """
    first = _first_config(series, list(chosen.values()))
    info: dict[str, Any] = {"model": first.to_dict(), "source": source}
    info["names"] = dict(chosen)
    info["identical"] = []
    stamp = series.stamp
    return Trajectory(
        list(chosen),
        _Watch(source, series, chosen, first, info["identical"]),
        info,
        source,
        tokenizer=functools.partial(series.tokenizer, next(iter(chosen.values()))),
        fingerprint=lambda step: series.fingerprint(chosen[step]),
        stamp=None if stamp is None else lambda step: stamp(chosen[step]),
    )


def _first_config(series: Series, names: Sequence[str]) -> TransformerConfig:
    """The config of the first checkpoint that is not broken."""
    errors = []
    for name in names:
        try:
            return series.config(name)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


class _Watch:
    """A reader of checkpoints that compares each with those before."""

    def __init__(
        self,
        source: str,
        series: Series,
        names: Mapping[int, str],
        config: TransformerConfig,
        identical: list[tuple[int, int]],
    ):
        self._source, self._series, self._names = source, series, names
        self._config, self._identical = config, identical
        self._seen: dict[str, int] = {}

    def __call__(self, step: int) -> Transformer:
        try:
            model = self._series.read(self._names[step])
        except (ValueError, OSError) as error:
            # Of a series, one that cannot be followed is as lost as a damaged one.
            raise CheckpointError(f"{self._source}, step {step}: {error}") from error
        # A measurement is compiled once, for one model.
        if model.config != self._config:
            raise CheckpointError(
                f"{self._source}: the checkpoint at step {step} has another config "
                "than the first; a trajectory is of one model."
            )
        earlier = self._seen.setdefault(weights_digest(model), step)
        if earlier != step and (earlier, step) not in self._identical:
            # The sample agrees; whole models are compared only then.
            other = self._series.read(self._names[earlier])
            if equal_weights(model, other):
                self._identical.append((earlier, step))
                warnings.warn(
                    f"{self._source}: steps {earlier} and {step} hold equal weights.",
                    stacklevel=2,
                )
        return model
