"""A page of all latents of one dictionary, to be looked at one by one."""

import base64
import json
from collections.abc import Mapping, Sequence

import numpy as np

from ._page import _inline
from ._templates import asset, template

# Positions shown around the largest activation of an example.
BEFORE, AFTER = 24, 8
# An example's activations are drawn in as many shades.
SHADES = 255


def feature_page(
    features: Mapping[str, np.ndarray],
    vocabulary: Sequence[str],
    *,
    title: str,
    about: str = "",
) -> str:
    """One self-contained HTML page on the latents of a dictionary.

    The page lists all latents, sorted by number, density or largest activation, and
    draws one: its examples with tokens shaded by activation, a histogram, its density,
    the tokens that it promotes and suppresses, and its neighbours. Only the rows of the
    list that are on the screen exist, and examples are kept as bytes, so that a page of
    4,096 latents opens at once. It loads nothing from anywhere.

    Args:
        features: Name -> array, as `saes.features(...)._asdict()` gives them.
        vocabulary: What each token looks like, by its id.
        title: What the dictionary is called.
        about: A sentence on where it is from.

    Returns:
        The page.

    Raises:
        ValueError: an array is missing, or a token has no place in the vocabulary.
    """
    _check(features, vocabulary)
    return template("features.html").render(
        title=title,
        about=about,
        data=_inline(json.dumps(_compact(features, vocabulary), allow_nan=False)),
        style=asset("page.css") + asset("features.css"),
        script=asset("features.js"),
    )


NAMES = ("tokens", "examples", "acts", "density", "largest", "histogram", "promoted")
NAMES = (*NAMES, "promoted_by", "suppressed", "suppressed_by", "near", "near_cosine")


def _check(features: Mapping[str, np.ndarray], vocabulary: Sequence[str]) -> None:
    """Refuse what cannot be drawn.

    Raises:
        ValueError: as `feature_page` says.
    """
    missing = [name for name in NAMES if name not in features]
    if missing:
        raise ValueError(
            f"feature_page: there is no {', '.join(missing)}; give what "
            "`saes.features(...)._asdict()` returns."
        )
    ids = [features[name] for name in ("tokens", "promoted", "suppressed")]
    most = max((int(np.max(x)) for x in ids if np.size(x)), default=-1)
    if most >= len(vocabulary):
        raise ValueError(
            f"feature_page: token {most} is beyond the {len(vocabulary)} of the "
            "vocabulary; give the one of the model's tokenizer."
        )


def _compact(features: Mapping[str, np.ndarray], vocabulary: Sequence[str]) -> dict:
    """The data of the page: lists where they are short, bytes where they are not."""
    tokens, acts = features["tokens"], features["acts"]
    examples = np.asarray(features["examples"])
    width = min(BEFORE + 1 + AFTER, tokens.shape[1])
    start = np.clip(acts.argmax(axis=2) - BEFORE, 0, tokens.shape[1] - width)
    window = start[:, :, None] + np.arange(width)
    shown = tokens[np.maximum(examples, 0)[:, :, None], window]
    seen = np.take_along_axis(acts, window, axis=2)
    largest = np.where(features["largest"] > 0, features["largest"], 1)
    shades = np.ceil(seen / largest[:, None, None] * SHADES).clip(0, SHADES)
    used, places = np.unique(
        np.concatenate([x.reshape(-1) for x in (shown, *_listed(features))]),
        return_inverse=True,
    )
    # Ids of the tokens that occur, so that they fit into two bytes.
    n = shown.size
    split = np.split(places.reshape(-1)[n:], [features["promoted"].size])
    return {
        "words": [vocabulary[i] for i in used],
        "wide": len(used) > 2**16,
        "width": width,
        "n_examples": examples.shape[1],
        "there": _bytes((examples >= 0).astype(np.uint8)),
        "ids": _bytes(places.reshape(-1)[:n].astype(_kind(used))),
        "shades": _bytes(shades.astype(np.uint8)),
        "density": _short(features["density"]),
        "largest": _short(features["largest"]),
        "histogram": features["histogram"].tolist(),
        "promoted": _pairs(split[0], features["promoted_by"]),
        "suppressed": _pairs(split[1], features["suppressed_by"]),
        "near": _pairs(features["near"], features["near_cosine"]),
    }


def _listed(features: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return features["promoted"], features["suppressed"]


def _kind(used: np.ndarray) -> str:
    """Little-endian, as the page reads it, whatever machine wrote it."""
    return "<u4" if len(used) > 2**16 else "<u2"


def _bytes(x: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(x).tobytes()).decode()


def _short(x: np.ndarray) -> list[float]:
    """Numbers with as many digits as are read; those that are none are null."""
    return [float(f"{v:.4g}") if np.isfinite(v) else 0.0 for v in np.ravel(x)]


def _pairs(which: np.ndarray, value: np.ndarray) -> list[list[float]]:
    """For each latent its entries, each followed by its number."""
    which = np.asarray(which).reshape(value.shape)
    return [
        [y for i, v in zip(a, b, strict=True) for y in (int(i), *_short(np.array(v)))]
        for a, b in zip(which, value, strict=True)
    ]
