"""The drawing library itself, for pages that must work without a network."""

import plotly.offline


def plotly_script() -> str:
    """The whole of plotly.js, as text to put into a page once.

    It is some 5 MB long, and figures of a page that has it work without a network,
    which a report that is read in ten years needs. Each figure then brings only its own
    numbers, by `figure.to_html(include_plotlyjs=False)` or as JSON. The text comes with
    the installed version of plotly and may stand in a `<script>` element as it is.

    Returns:
        JavaScript source, without the element around it.

    Example:
        >>> from jaxcirc.plots import plotly_script
        >>> "</script" in plotly_script()
        False
    """
    # A copy in each figure would make a page of ten figures 50 MB.
    return plotly.offline.get_plotlyjs()
