"""The same transformer in plain NumPy and float64, one sequence and head at a time."""

import math

import numpy as np

from jaxcirc._core import named_leaves


def _norm(x, w, kind, eps):
    if kind.startswith("layer"):
        centred = x - x.mean(-1, keepdims=True)
        y = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
        return y * w["weight"] + w["bias"] if kind == "layer" else y
    y = x / np.sqrt((x**2).mean(-1, keepdims=True) + eps)
    return y * (w["weight"] + (1 if kind == "rms_plus_one" else 0))


def _activation(name, x):
    erf = np.vectorize(math.erf)
    return {
        "relu": lambda: np.maximum(x, 0),
        "gelu": lambda: x * 0.5 * (1 + erf(x / math.sqrt(2))),
        "gelu_tanh": lambda: (
            0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        ),
        "silu": lambda: x / (1 + np.exp(-x)),
    }[name]()


def _frequency(base, factor, pair, config):
    frequency = base ** (-2 * pair / config.sizes.rotary_dim) / factor
    scaling = config.rotary_llama3
    if scaling is None:
        return frequency
    wavelength = 2 * math.pi / frequency
    if wavelength < scaling.n_ctx / scaling.high:
        return frequency
    if wavelength > scaling.n_ctx / scaling.low:
        return frequency / scaling.factor
    share = (scaling.n_ctx / wavelength - scaling.low) / (scaling.high - scaling.low)
    return (1 - share) * frequency / scaling.factor + share * frequency


def _of_layer(value, layer):
    return value[layer] if isinstance(value, tuple) else value


def _rotate(x, layer, config):
    base = _of_layer(config.rotary_base, layer)
    factor = _of_layer(config.rotary_factor, layer)
    out, dim = x.copy(), config.sizes.rotary_dim
    for pos in range(len(x)):
        for i in range(dim // 2):
            half = config.rotary_pairing == "half"
            a, b = (i, i + dim // 2) if half else (2 * i, 2 * i + 1)
            angle = pos * _frequency(base, factor, i, config)
            cos, sin = math.cos(angle), math.sin(angle)
            out[pos, a] = x[pos, a] * cos - x[pos, b] * sin
            out[pos, b] = x[pos, b] * cos + x[pos, a] * sin
    return out


def _attention(x, w, layer, config):
    n = len(x)
    out = np.zeros_like(x)
    clip = config.clip_qkv or math.inf
    kv_heads = range(config.sizes.n_kv_heads)

    def project(name, heads):
        bias = w.get(f"b_{name}", np.zeros((99, 1)))
        y = [np.clip(x @ w[f"W_{name}"][:, h] + bias[h], -clip, clip) for h in heads]
        if name == "V" or config.qk_norm == "none":
            return y
        scale = {"weight": w[f"{name.lower()}_norm.weight"]}
        if config.qk_norm == "head":
            return [_norm(one, scale, config.norm, config.norm_eps) for one in y]
        together = _norm(
            np.concatenate(y, axis=-1), scale, config.norm, config.norm_eps
        )
        return np.split(together, len(y), axis=-1)

    qs = project("Q", range(config.n_heads))
    ks, vs = project("K", kv_heads), project("V", kv_heads)
    for head in range(config.n_heads):
        group = head // (config.n_heads // config.sizes.n_kv_heads)
        q, k, v = qs[head], ks[group], vs[group]
        if config.positions == "rotary":
            q, k = _rotate(q, layer, config), _rotate(k, layer, config)
        window = _of_layer(config.window, layer)
        scale = config.sizes.attention_scale
        scale /= layer + 1 if config.scale_by_inverse_layer else 1
        for i in range(n):
            seen = [
                j
                for j in range(n)
                if (j <= i or not config.causal)
                and (window is None or abs(i - j) < window)
            ]
            s = np.array([q[i] @ k[j] for j in seen]) * scale
            if config.attention_softcap:
                s = config.attention_softcap * np.tanh(s / config.attention_softcap)
            p = np.exp(s - s.max())
            p /= p.sum()
            z = sum(a * v[j] for a, j in zip(p, seen, strict=True))
            out[i] += z @ w["W_O"][head]
    return out + w.get("b_O", 0)


def _mlp(x, w, config):
    hidden = x @ w["W_in"] + w.get("b_in", 0)
    if config.gated:
        hidden = _activation(config.activation, x @ w["W_gate"]) * hidden
    else:
        hidden = _activation(config.activation, hidden)
    return hidden @ w["W_out"] + w.get("b_out", 0)


def reference_logits(model, tokens):
    """Logits of one sequence."""
    config = model.config
    leaves = {k: np.asarray(v, np.float64) for k, v in named_leaves(model).items()}

    def group(prefix, layer=None):
        return {
            name.removeprefix(prefix + "."): leaf if layer is None else leaf[layer]
            for name, leaf in leaves.items()
            if name.startswith(prefix + ".")
        }

    x = leaves["W_E"][np.asarray(tokens)] * config.sizes.embedding_scale
    if config.positions == "learned":
        x = x + leaves["W_pos"][: len(x)]
    for layer in range(config.n_layers):

        def norm(name, y, layer=layer):
            w = group(f"blocks.{name}", layer)
            there = getattr(model.blocks, name) is not None
            return _norm(y, w, config.norm, config.norm_eps) if there else y

        attn = _attention(norm("ln1", x), group("blocks.attn", layer), layer, config)
        if config.norm_position == "stream":
            x = norm("ln1_post", x + attn)
            if config.sizes.d_mlp:
                mlp = _mlp(x, group("blocks.mlp", layer), config)
                x = norm("ln2_post", x + mlp)
            continue
        attn = norm("ln1_post", attn)
        if not config.sizes.d_mlp:
            x = x + attn
            continue
        mid = x if config.parallel else x + attn
        mlp = _mlp(norm("ln2", mid), group("blocks.mlp", layer), config)
        mlp = norm("ln2_post", mlp)
        x = mid + mlp + (attn if config.parallel else 0)
    if config.norm != "none" and config.norm_position != "stream":
        x = _norm(x, group("ln_final"), config.norm, config.norm_eps)
    unembed = leaves["W_E"].T if config.tied else leaves["W_U"]
    logits = x @ unembed + leaves.get("b_U", 0)
    cap = config.logit_softcap
    return cap * np.tanh(logits / cap) if cap else logits
