"""What may change a forward pass on its way, and what it has to say of itself."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import equinox as eqx
import jax.tree_util as jtu
from jaxtyping import Array, Int, PyTree

from .._core import named_leaves
from ._config import TransformerConfig
from ._site_rows import SiteRow

if TYPE_CHECKING:
    from ._tape import Tape

Self = TypeVar("Self", bound="AbstractIntervention")


class AbstractIntervention(eqx.Module):
    """A change to a forward pass that may remember what it has seen.

    The forward pass hands every activation at one of `sites` to the intervention, in
    order of computation, together with its memory, and goes on with what comes back:

        x, memory = intervention(site, x, memory, tape)

    The memory starts as `init(config, tokens)`, passes from site to site and from layer
    to layer (it is part of what the scan over layers carries), and keeps its structure,
    shapes and types. An intervention without memory is an `AbstractEdit`.

    Arrays of an intervention are shared by all layers, unless their field is named in
    `layered`: then they have a leading `layer` axis, and each layer gets its own slice.
    Everything numerical is an array, so that a sweep is a `jax.vmap` over interventions
    in one compiled program.
    """

    @property
    @abstractmethod
    def sites(self) -> tuple[str, ...]:
        """Names of the places that it changes or looks at."""

    @property
    def layered(self) -> tuple[str, ...]:
        """Names of the fields whose arrays have a leading `layer` axis."""
        return ()

    def init(self, config: TransformerConfig, tokens: Int[Array, "..."]) -> PyTree:
        """The memory before anything was seen; None, which has no arrays, by default.

        Args:
            config: Config of the model that is about to run.
            tokens: What it is about to read, whose shape gives the batch axes.

        Returns:
            A pytree of arrays.
        """
        del config, tokens

    @abstractmethod
    def __call__(
        self, site: str, x: Array, memory: PyTree, tape: "Tape"
    ) -> tuple[Array, PyTree]:
        """What the rest of the model should see in place of `x`.

        Args:
            site: Which of `sites` the activation is from.
            x: The activation.
            memory: What was returned at the last site, or `init`.
            tape: To make places of its own known: `f = tape("mlp.out.features", f)`
                lets `capture` read them and other interventions change them.

        Returns:
            The activation, of the same shape and type, and the memory.
        """

    def inner_sites(self) -> Mapping[str, SiteRow]:
        """The places that it calls its tape with, each named `SITE.something`."""
        return {}

    def axis_sizes(self) -> Mapping[str, int]:
        """Sizes of the axes of `inner_sites` that a model does not have."""
        return {}

    def check(self, config: TransformerConfig, table: Mapping[str, Any]) -> None:
        """Refuse arrays that do not fit the model, before anything is traced.

        Args:
            config: The model's config.
            table: Its sites, with their axes and shapes; see `jaxcirc.models.sites`.

        Raises:
            ValueError: an array of a `layered` field has no entry for each layer.
        """
        del table
        for path, leaf in named_leaves(self).items():
            if path.split(".")[0] in self.layered and (
                leaf.shape[:1] != (config.n_layers,)
            ):
                raise ValueError(
                    f"{type(self).__name__}: `{path}` has shape {leaf.shape}; its "
                    f"first axis counts the {config.n_layers} layers of the model."
                )


def by_layer(intervention: Self) -> tuple[Self, Self]:
    """The intervention with its layered arrays alone, and with all others alone.

    Scanned over the first and combined with the second (`equinox.combine`), it is
    itself again in each layer, with the slices of that layer.

    Args:
        intervention: What to take apart.
    """
    # Told by the field that a leaf lies in, however deep: `post` may be a whole norm.
    own = intervention.layered
    flags = jtu.tree_map_with_path(lambda path, _: path[0].name in own, intervention)
    return eqx.partition(intervention, flags)
