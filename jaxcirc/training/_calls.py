"""The host's side of a loop: how many updates a call makes, and what came of it."""

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, PyTree

from ._loop import CALL_STEPS, Loop

# A call to the device should take about this long: often enough for a progress bar,
# rarely enough that waiting for it costs nothing.
SECONDS_PER_CALL = 0.5


class Call(NamedTuple):
    """What one call of a loop came to.

    Args:
        step: Updates that have been made in all.
        state: The state after them. The next call takes its memory, so whatever is to
            be kept of it has to be saved or copied before.
        losses: The loss before each update of this call.
    """

    step: int
    state: PyTree
    losses: Float[np.ndarray, "*member step"]

    @property
    def diverged(self) -> tuple[int, int] | None:
        """The first loss that was not finite: its member and its step; None if none.

        Of several members that diverged, the one that went first; a state without
        members is member 0.
        """
        finite = np.isfinite(np.atleast_2d(self.losses))
        if finite.all():
            return None
        length = finite.shape[1]
        first_bad = np.where(finite.all(axis=1), length, finite.argmin(axis=1))
        member = int(first_bad.argmin())
        return member, self.step - length + int(first_bad[member])


def calls(
    loop: Loop,
    state: PyTree,
    stops: Iterable[int],
    *,
    step: int = 0,
    shared: PyTree = None,
) -> Iterator[Call]:
    """Run a loop to a number of updates, and look at it after every call.

    Calls grow until each takes about half a second. Every one of `stops` is the end of
    a call, so that its state can be saved; the last of them is the end of the run. The
    iterator also ends with a call whose loss was not finite, see `Call.diverged`.

    To go on after a stop, save `Call.state` and `Call.step`, such as with
    `checkpoints.save_tensors`, and give what was loaded as `state` and `step`: the run
    ends in the same bits, since the loop does not feel where calls end.

    Args:
        loop: The loop to run.
        state: Where to begin; it is donated.
        stops: Numbers of updates, ascending; those up to `step` are passed over.
        step: Updates that have been made already.
        shared: What every update reads and none changes.

    Example:
        >>> import jax.numpy as jnp
        >>> halve = Loop(lambda x, shared: (x / 2, x))
        >>> [(c.step, float(c.state)) for c in calls(halve, jnp.array(8.0), (1, 3))][-1]
        (3, 1.0)
    """
    length = 1
    for target in (s for s in stops if s > step):
        while step < target:
            n = min(length, target - step)
            began = time.monotonic()
            state, losses = loop(state, n, shared)
            step += n
            call = Call(step, state, np.asarray(losses)[..., :n])
            length = _next_length(n, time.monotonic() - began)
            yield call
            if call.diverged is not None:
                return


def _next_length(n: int, seconds: float) -> int:
    # At most eightfold, since the first call includes the compilation.
    fitting = int(n * SECONDS_PER_CALL / max(seconds, 1e-6))
    return min(max(fitting, 1), 8 * n, CALL_STEPS)
