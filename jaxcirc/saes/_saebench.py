"""A dictionary as SAEBench wants it: torch in, torch out."""

import importlib
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._dictionary import Dictionary

# Fields that SAEBench reads, or hands on, without a meaning of their own here.
DEFAULTS = {
    "context_size": None,
    "hook_head_index": None,
    "architecture": "jaxcirc",
    "apply_b_dec_to_input": None,
    "finetuning_scaling_factor": None,
    "activation_fn_str": "",
    "activation_fn_kwargs": {},
    "prepend_bos": True,
    "normalize_activations": "none",
    "dtype": "float32",
    "device": "cpu",
    "model_from_pretrained_kwargs": {},
    "dataset_path": "",
    "dataset_trust_remote_code": False,
    "seqpos_slice": (None,),
    "training_tokens": -100_000,
    "sae_lens_training_version": None,
    "neuronpedia_id": None,
}


class SAEBenchDictionary:
    """A dictionary with the attributes and methods that SAEBench's evaluations use.

    Decoder rows have length 1, as SAEBench requires; latents are scaled accordingly, so
    that reconstructions are those of the dictionary. Tensors of torch go in and come
    out on their own device and in their own type; arrays of NumPy and JAX stay arrays.
    torch is loaded when a weight is asked for as a tensor, and not before.

    Args:
        dictionary: An autoencoder of one site.
        model_name: The name by which SAEBench loads the model.
        hook_name: The site, in TransformerLens' spelling.
        hook_layer: Its layer.
        **fields: Other fields of `cfg`, such as `training_tokens`.

    Raises:
        ValueError: the dictionary is a transcoder with a skip, a crosscoder or a stack,
            which the protocol has no place for.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr, numpy as np
        >>> from jaxcirc import saes
        >>> one = saes.Standard(d_in=8, d_sae=16).init(jr.key(0))
        >>> made = saes.SAEBenchDictionary(
        ...     one, "pythia-70m-deduped", "blocks.3.hook_resid_post", 3
        ... )
        >>> x = np.ones((2, 5, 8), np.float32)
        >>> f = made.encode(x)
        >>> f.shape, made.cfg.d_sae
        ((2, 5, 16), 16)
        >>> bool(np.allclose(made.decode(f), one(jnp.asarray(x)), atol=1e-6))
        True
    """

    def __init__(
        self,
        dictionary: Dictionary,
        model_name: str,
        hook_name: str,
        hook_layer: int,
        **fields: Any,
    ):
        if dictionary.W_enc.ndim != 2 or dictionary.W_skip is not None:
            raise ValueError(
                "SAEBenchDictionary: takes one dictionary of one site without a skip; "
                f"got W_enc {dictionary.W_enc.shape}"
                + ("" if dictionary.W_skip is None else " and a W_skip")
                + "."
            )
        d_in, d_sae = dictionary.W_enc.shape
        self.dictionary = dictionary
        self.cfg = types.SimpleNamespace(
            model_name=model_name,
            hook_name=hook_name,
            hook_layer=hook_layer,
            d_in=d_in,
            d_sae=d_sae,
            **{**DEFAULTS, **fields},
        )
        self.cfg.to_dict = lambda: {
            name: value for name, value in vars(self.cfg).items() if name != "to_dict"
        }
        lengths = dictionary.norms
        self._lengths = jnp.where(lengths == 0, 1, lengths)
        self._encode, self._decode = jax.jit(self._encoded), jax.jit(self._decoded)

    def encode(self, x: Any) -> Any:
        """Latents of activations, in units of a decoder row of length 1.

        Args:
            x: Activations, [..., d_in].
        """
        return self._like(x, self._encode)

    def decode(self, f: Any) -> Any:
        """Activations that latents stand for.

        Args:
            f: Latents, [..., d_sae].
        """
        return self._like(f, self._decode)

    def forward(self, x: Any) -> Any:
        """Reconstructions of activations.

        Args:
            x: Activations, [..., d_in].
        """
        return self.decode(self.encode(x))

    __call__ = forward

    @property
    def W_enc(self) -> Any:
        """The encoder [d_in, d_sae] in the units of `encode`.

        As all weights here it is a tensor where torch is installed.
        """
        return self._tensor(self.dictionary.W_enc * self._lengths[None])

    @property
    def W_dec(self) -> Any:
        """The decoder [d_sae, d_in] with rows of length 1."""
        return self._tensor(self.dictionary.W_dec / self._lengths[:, None])

    @property
    def b_enc(self) -> Any:
        """The encoder's bias [d_sae]; zeros where there is none."""
        d_sae = self.dictionary.d_sae
        bias = self.dictionary.b_enc
        return self._tensor(jnp.zeros(d_sae) if bias is None else bias * self._lengths)

    @property
    def b_dec(self) -> Any:
        """The decoder's bias [d_in]."""
        return self._tensor(self.dictionary.b_dec)

    @property
    def dtype(self) -> Any:
        """The type of tensors that come out, as torch names it."""
        return getattr(_torch() or np, self.cfg.dtype)

    @property
    def device(self) -> Any:
        """Where weights are, as torch names it."""
        torch = _torch()
        return torch.device(self.cfg.device) if torch else self.cfg.device

    def to(self, *args: Any, **kwargs: Any) -> "SAEBenchDictionary":
        """Itself: tensors come out where and as they went in.

        Args:
            *args: A device or a type, which weights are then given in.
            **kwargs: `device` or `dtype`, likewise.
        """
        for value in (*args, *kwargs.values()):
            name = str(value)
            kind = "dtype" if name.startswith("torch.") else "device"
            setattr(self.cfg, kind, name.removeprefix("torch."))
        return self

    def eval(self) -> "SAEBenchDictionary":
        """Itself, which has no mode of training."""
        return self

    def _encoded(self, x: Array) -> Array:
        f = self.dictionary.encode(x)
        # A dictionary that scales has its latents in these units already.
        return f if self.dictionary.scales else f * self._lengths[None]

    def _decoded(self, f: Array) -> Array:
        return self.dictionary.decode(
            f if self.dictionary.scales else f / self._lengths[None]
        )

    def _tensor(self, x: Array) -> Any:
        """An array as a tensor where torch is installed, and as it is elsewhere."""
        torch = _torch()
        if torch is None:
            return x
        made = torch.from_numpy(np.array(x, np.float32))
        return made.to(device=self.device, dtype=self.dtype)

    @staticmethod
    def _like(x: Any, apply) -> Any:
        """A function of an array on whatever `x` is, and the result as one of those."""
        if isinstance(x, np.ndarray | jax.Array):
            return _flat(jnp.asarray(x), apply)
        # Half precision of torch has no counterpart in NumPy.
        values = x.detach().float().cpu().numpy()
        return x.new_tensor(np.asarray(_flat(jnp.asarray(values), apply)))


def _flat(x: Array, apply) -> Array:
    """Rows are encoded one by one: batch axes of any number are one program."""
    made = apply(x.reshape(-1, x.shape[-1]))
    return made.reshape(*x.shape[:-1], made.shape[-1])


def _torch() -> Any:
    """torch, or None where it is not installed."""
    try:
        return importlib.import_module("torch")
    except ImportError:
        return None
