"""The drawing library itself, for pages that must work without a network."""

import plotly.offline


def plotly_script() -> str:
    """The whole of plotly.js, as text to put into a page once."""
    return plotly.offline.get_plotlyjs()
