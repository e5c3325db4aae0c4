"""Tiny random configs of every family, as transformers takes them."""

SIZES = {
    "vocab_size": 37,
    "hidden_size": 32,
    # More than are unrolled, so that one block is compiled for all.
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 32,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
GROUPED = {"num_key_value_heads": 2}
GPT2 = {"vocab_size": 37, "n_positions": 32, "n_embd": 24, "n_layer": 5, "n_head": 3}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
# name: (class of the config, its options)
CONFIGS = {
    "gpt2": ("GPT2Config", GPT2),
    "gpt2_crfm": (
        "GPT2Config",
        GPT2 | {"scale_attn_by_inverse_layer_idx": True, "n_inner": 17},
    ),
    "gpt2_untied": (
        "GPT2Config",
        GPT2 | {"tie_word_embeddings": False, "scale_attn_weights": False},
    ),
    "neox": ("GPTNeoXConfig", SIZES),
    "neox_sequential": (
        "GPTNeoXConfig",
        SIZES
        | {
            "use_parallel_residual": False,
            "tie_word_embeddings": True,
            "attention_bias": False,
            "hidden_act": "gelu_pytorch_tanh",
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 100.0,
                "partial_rotary_factor": 1.0,
            },
        },
    ),
    "llama": ("LlamaConfig", SIZES | {"vocab_size": 31, "intermediate_size": 27}),
    "llama3": (
        "LlamaConfig",
        SIZES | GROUPED | {"head_dim": 10, "rope_parameters": LLAMA3},
    ),
    "llama_biases_tied": (
        "LlamaConfig",
        SIZES
        | {
            "attention_bias": True,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "linear",
                "factor": 2.0,
                "rope_theta": 1e4,
            },
        },
    ),
    "mistral": (
        "MistralConfig",
        SIZES | GROUPED | {"sliding_window": 5, "head_dim": 10},
    ),
    "mistral_full": ("MistralConfig", SIZES | GROUPED | {"sliding_window": None}),
    "gemma": ("GemmaConfig", SIZES | {"num_key_value_heads": 1, "head_dim": 12}),
    "gemma_mha": ("GemmaConfig", SIZES | {"num_key_value_heads": 4, "head_dim": 8}),
    "gemma2": (
        "Gemma2Config",
        SIZES
        | GROUPED
        | {"head_dim": 8, "sliding_window": 5, "query_pre_attn_scalar": 7},
    ),
    "gemma2_hard": (
        "Gemma2Config",
        SIZES
        | GROUPED
        | {
            "head_dim": 12,
            "sliding_window": 4,
            "query_pre_attn_scalar": 12,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
        },
    ),
    "gemma3": (
        "Gemma3TextConfig",
        SIZES
        | GROUPED
        | {
            "head_dim": 8,
            "sliding_window": 5,
            "query_pre_attn_scalar": 8,
            "layer_types": ["sliding_attention", "full_attention"] * 2
            + ["sliding_attention"],
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
                "full_attention": {
                    "rope_type": "linear",
                    "factor": 8.0,
                    "rope_theta": 1e6,
                },
            },
        },
    ),
    "gemma3_mqa": (
        "Gemma3TextConfig",
        SIZES
        | {
            "num_key_value_heads": 1,
            "head_dim": 6,
            "sliding_window": 3,
            "query_pre_attn_scalar": 5,
            "num_hidden_layers": 7,
            "final_logit_softcapping": 4.0,
        },
    ),
    "olmo": ("OlmoConfig", SIZES | GROUPED | {"clip_qkv": 0.3}),
    "olmo_tied": ("OlmoConfig", SIZES | {"tie_word_embeddings": True}),
    "olmo2": ("Olmo2Config", SIZES | GROUPED),
    "olmo2_mha": ("Olmo2Config", SIZES | {"rms_norm_eps": 1e-3}),
    "qwen2": (
        "Qwen2Config",
        SIZES
        | GROUPED
        | {
            "use_sliding_window": True,
            "sliding_window": 5,
            "max_window_layers": 2,
        },
    ),
    "qwen2_tied": (
        "Qwen2Config",
        SIZES | {"num_key_value_heads": 4, "tie_word_embeddings": True},
    ),
    "qwen3": (
        "Qwen3Config",
        SIZES | GROUPED | {"head_dim": 10, "attention_bias": True},
    ),
    "qwen3_tied": (
        "Qwen3Config",
        SIZES | {"num_key_value_heads": 4, "head_dim": 8, "tie_word_embeddings": True},
    ),
}


def live(name: str, **more):
    """A live module of transformers, with every weight perturbed."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    kind, options = CONFIGS[name]
    config = getattr(transformers, kind)(**options | more)
    torch.manual_seed(0)
    module = transformers.AutoModelForCausalLM.from_config(
        config, attn_implementation="eager"
    )
    module = module.float().eval()
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return module
