"""The `jaxcirc` command."""

from ._app import main as main
