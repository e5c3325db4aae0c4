"""Families of published checkpoints: what their configs and tensors mean."""

from . import _gemma, _gpt2, _gpt_neox, _llama, _olmo, _pico, _qwen
from ._family import Family as Family
from ._fields import Fields as Fields, UnsupportedOption as UnsupportedOption
from ._rule import Rule as Rule, norm as norm, rule as rule

FAMILIES = (
    _gpt2.FAMILY,
    _gpt_neox.FAMILY,
    _llama.FAMILY,
    _llama.MISTRAL,
    _gemma.GEMMA,
    _gemma.GEMMA2,
    _gemma.GEMMA3,
    _olmo.OLMO,
    _olmo.OLMO2,
    _qwen.QWEN2,
    _qwen.QWEN3,
    _pico.FAMILY,
)
