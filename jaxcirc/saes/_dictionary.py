"""A dictionary: latents of an activation, and the activation that latents stand for."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import root
from ._nonlinearity import AbstractNonlinearity


class Dictionary(eqx.Module):
    """A sparse autoencoder, transcoder or crosscoder; arrays have SAELens' names.

    With x an activation, f its latents and σ the nonlinearity,

        pre = (x - b_dec) W_enc + b_enc,    f = σ(pre),    x̂ = f W_dec + b_dec,

    where b_dec is only taken off if the dictionary is `centred`. A dictionary that
    `scales` measures each latent in units of what it writes: pre is multiplied by the
    length of the latent's decoder row before σ, and f divided by it before W_dec. What
    σ keeps then does not depend on how a row's length is shared with its latent.

    Leading axes of x are batch axes. Of a crosscoder x is [*batch site d_in], and its
    weights have the axis `site` too: all sites have one set of latents. `jax.vmap`
    takes a stack of dictionaries, whose arrays all have one more axis in front.

    Args:
        W_enc: Encoder, [d_in, d_sae], or [site, d_in, d_sae].
        b_enc: Bias of each latent; None if the nonlinearity brings its own.
        W_dec: Decoder, [d_sae, d_out], or [d_sae, site, d_out].
        b_dec: Bias of the output, [d_out] or [site, d_out].
        W_skip: A linear map from input to output beside the latents, [d_out, d_in], as
            skip transcoders have it; None for none.
        nonlinearity: σ with the parameters that it has.
        centred: Whether b_dec is taken off the input.
        scales: Whether latents are in units of their decoder rows' lengths.

    Raises:
        ValueError: the arrays do not belong to one dictionary.

    Example:
        >>> import jax
        >>> from jaxcirc import saes
        >>> dictionary = saes.TopK(d_in=8, d_sae=32, k=4).init(jax.random.key(0))
        >>> x = jax.random.normal(jax.random.key(1), (100, 8))
        >>> f = dictionary.encode(x)
        >>> f.shape, int((f > 0).sum(-1).max())
        ((100, 32), 4)
        >>> dictionary(x).shape
        (100, 8)
    """

    W_enc: Float[Array, "*site d_in d_sae"]
    b_enc: Float[Array, " d_sae"] | None
    W_dec: Float[Array, "d_sae *site_out d_out"]
    b_dec: Float[Array, "*site_out d_out"]
    W_skip: Float[Array, "d_out d_in"] | None
    nonlinearity: AbstractNonlinearity
    centred: bool = eqx.field(static=True, default=False)
    scales: bool = eqx.field(static=True, default=False)

    @property
    def d_sae(self) -> int:
        """Number of latents."""
        return self.W_enc.shape[-1]

    @property
    def norms(self) -> Float[Array, " d_sae"]:
        """Lengths of the decoder's rows; of a crosscoder, their sum over sites.

        A latent that writes nothing has length 0, and its gradient is 0 as well.
        """
        lengths = root(jnp.square(self.W_dec).sum(-1))
        return lengths.reshape(lengths.shape[0], -1).sum(-1)

    def pre(self, x: Float[Array, "..."]) -> Float[Array, "*batch d_sae"]:
        """Pre-activations of the latents, scaled if the dictionary scales.

        Args:
            x: Activations, [*batch, d_in] or [*batch, site, d_in].

        Raises:
            ValueError: the activations have another width.
        """
        self._check_width("encode", x, self.W_enc.shape[:-1])
        x = x.astype(self.W_enc.dtype)
        inside = self.W_enc.shape[:-1]
        batch = x.shape[: x.ndim - len(inside)]
        # One matrix product of flat rows: a contraction over two axes has a gradient
        # that CPUs compute at a third of the speed.
        width = self.W_enc.size // self.d_sae
        W_enc = self.W_enc.reshape(width, -1)
        pre = x.reshape(-1, width) @ W_enc
        bias = self.b_enc
        if self.centred:
            # Taken off after the product and not before it: the gradient of b_dec is
            # then a vector times a matrix, and not one more product of matrices.
            taken = self.b_dec.reshape(1, width) @ W_enc
            bias = -taken[0] if bias is None else bias - taken[0]
        if bias is not None:
            pre = pre + bias[None]
        if self.scales:
            pre = pre * self.norms[None]
        return pre.reshape(*batch, self.d_sae)

    def encode(self, x: Float[Array, "..."]) -> Float[Array, "*batch d_sae"]:
        """The latents of activations.

        Args:
            x: Activations, [*batch, d_in] or [*batch, site, d_in].

        Returns:
            Latents [*batch, d_sae], not negative, most of them 0.

        Raises:
            ValueError: the activations have another width.
        """
        return self.nonlinearity(self.pre(x))

    def written(self, f: Float[Array, "*batch d_sae"]) -> Float[Array, "..."]:
        """What latents write, without the bias: f W_dec.

        Args:
            f: Latents, [*batch, d_sae].

        Raises:
            ValueError: there is another number of latents.
        """
        self._check_width("decode", f, (self.d_sae,))
        f = f.astype(self.W_dec.dtype)
        if self.scales:
            lengths = self.norms
            # A row of zeros writes nothing, whatever its latent is divided by.
            f = f / jnp.broadcast_to(jnp.where(lengths == 0, 1, lengths), f.shape)
        flat = f.reshape(-1, self.d_sae) @ self.W_dec.reshape(self.d_sae, -1)
        return flat.reshape(*f.shape[:-1], *self.W_dec.shape[1:])

    def decode(self, f: Float[Array, "*batch d_sae"]) -> Float[Array, "..."]:
        """The activations that latents stand for: f W_dec + b_dec.

        What a skip transcoder adds depends on the input, so it is in `__call__` alone.

        Args:
            f: Latents, [*batch, d_sae].

        Returns:
            Activations, [*batch, d_out] or [*batch, site, d_out].

        Raises:
            ValueError: there is another number of latents.
        """
        out = self.written(f)
        return out + jnp.broadcast_to(self.b_dec, out.shape)

    def output(
        self, x: Float[Array, "..."], f: Float[Array, "*batch d_sae"]
    ) -> Float[Array, "..."]:
        """The output for activations whose latents are given, with the skip.

        Args:
            x: Activations.
            f: Their latents, or others in place of them.

        Raises:
            ValueError: the widths are not those of the dictionary.
        """
        out = self.decode(f)
        return out if self.W_skip is None else out + x.astype(out.dtype) @ self.W_skip.T

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The activations again, as far as the latents hold them.

        Args:
            x: Activations, [*batch, d_in] or [*batch, site, d_in].

        Returns:
            Of an autoencoder the shape of x; of a transcoder [*batch, d_out].

        Raises:
            ValueError: the activations have another width.
        """
        return self.output(x, self.encode(x))

    def _check_width(self, who: str, x: Array, width: tuple[int, ...]) -> None:
        """Refuse arrays whose last axes are not these.

        Raises:
            ValueError: they are not.
        """
        if x.shape[max(x.ndim - len(width), 0) :] != width:
            raise ValueError(
                f"{who}: this dictionary takes arrays whose last axes are "
                f"{list(width)}; got {list(x.shape)}. Give activations of the site "
                "that it was trained on."
            )
