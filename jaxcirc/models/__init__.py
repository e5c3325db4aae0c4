"""Transformers with named sites, one stacked block and edits that are data."""

from . import _attention_only, _gpt2, _grokking, _llama
from ._ablate import without as without
from ._capture import capture as capture
from ._config import TransformerConfig as TransformerConfig
from ._edits import (
    AbstractEdit as AbstractEdit,
    Add as Add,
    Replace as Replace,
    Scale as Scale,
)
from ._family import ModelSpec as ModelSpec
from ._masks import head_masks as head_masks
from ._rotary_turn import rotary_turn as rotary_turn
from ._sites import SiteInfo as SiteInfo, resolve_site as resolve_site, sites as sites
from ._transformer import Transformer as Transformer, unembed as unembed

MODELS = (_attention_only.SPEC, _grokking.SPEC, _gpt2.SPEC, _llama.SPEC)
