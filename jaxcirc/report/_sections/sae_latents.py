"""Latents to look at: a link to the page of each dictionary."""

import html
import re

import numpy as np

from .._results import once
from .._section import Block, SectionSpec, View
from .dictionaries import number


def draw(view: View) -> list[Block]:
    """Links to the pages, and how often latents fire."""
    data = once(view.data)
    layers = [int(layer) for layer in np.ravel(data["layer"].values)]
    links = ", ".join(
        f'<a href="{html.escape(page_name(view.name, layer))}">layer {layer}</a>'
        for layer in layers
    )
    text = (
        "What each latent stands for: its strongest examples, the tokens that it "
        f"promotes and suppresses, its neighbours. Pages beside this one: {links}."
    )
    rows = []
    for place, layer in enumerate(layers):
        density = data["density"].isel(layer=place).values
        alive = density[np.isfinite(density) & (density > 0)]
        middle = number(float(np.median(alive))) if alive.size else "–"
        rows.append((str(layer), f"{density.size:,}", f"{alive.size:,}", middle))
    header = ["layer", "latents", "that fire", "median density"]
    return [Block("Latents", text, table=(header, rows))]


def page_name(row: str, layer: int) -> str:
    """The file of a dictionary's page, beside the report.

    Args:
        row: The id of the study's row.
        layer: The layer that the dictionary reads.
    """
    return f"{re.sub('[^A-Za-z0-9_-]+', '-', row)}_layer_{layer}.html"


SECTION = SectionSpec("sae_latents", draw)
