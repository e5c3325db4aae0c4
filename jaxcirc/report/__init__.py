"""One self-contained HTML page from a study's results."""

from ._features import feature_page as feature_page
from ._findings import findings as findings
from ._page import render as render
from ._pages import feature_pages as feature_pages
from ._section import (
    Block as Block,
    Node as Node,
    SectionSpec as SectionSpec,
    View as View,
)
