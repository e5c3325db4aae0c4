"""Transformers with named sites, one stacked block and edits that are data."""

from .._core import Catalogue
from . import (
    _attention_only,
    _gemma,
    _gemma2,
    _gemma3,
    _gpt2,
    _gpt_neox,
    _grokking,
    _llama,
    _olmo,
    _olmo2,
    _pico,
    _qwen2,
    _qwen3,
)
from ._ablate import without as without
from ._attention_pattern import attention_pattern as attention_pattern
from ._capture import capture as capture
from ._config import (
    Llama3Rotary as Llama3Rotary,
    TransformerConfig as TransformerConfig,
)
from ._edge_mask import EdgeMask as EdgeMask
from ._edits import (
    AbstractEdit as AbstractEdit,
    Add as Add,
    Replace as Replace,
    Scale as Scale,
)
from ._family import ModelSpec as ModelSpec
from ._generate import generate as generate
from ._graph import Graph as Graph, graph as graph
from ._intervention import AbstractIntervention as AbstractIntervention
from ._masks import head_masks as head_masks
from ._rotary_turn import rotary_turn as rotary_turn
from ._site_rows import SiteRow as SiteRow, in_blocks as in_blocks
from ._sites import SiteInfo as SiteInfo, resolve_site as resolve_site, sites as sites
from ._stages import (
    Stages as Stages,
    resolved_edits as resolved_edits,
    split_edits as split_edits,
    stages as stages,
)
from ._tape import Tape as Tape
from ._transformer import Transformer as Transformer, unembed as unembed
from ._written import Written as Written, written as written

_OWN = (
    _attention_only.SPEC,
    _grokking.SPEC,
    _gpt2.SPEC,
    _gpt_neox.SPEC,
    _llama.SPEC,
    _olmo.SPEC,
    _olmo2.SPEC,
    _qwen2.SPEC,
    _qwen3.SPEC,
    _gemma.SPEC,
    _gemma2.SPEC,
    _gemma3.SPEC,
    _pico.SPEC,
)
MODELS = Catalogue("jaxcirc.models", _OWN, of=ModelSpec)
