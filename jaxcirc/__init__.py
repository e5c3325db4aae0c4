"""When and how circuits form while a transformer trains, measured in JAX.

Each subpackage is one kind of thing and is imported by name:
`jaxcirc.models`, `jaxcirc.tasks`, `jaxcirc.metrics`, `jaxcirc.training`,
`jaxcirc.checkpoints`, `jaxcirc.study`, `jaxcirc.report`.
"""

import importlib.metadata

__version__ = importlib.metadata.version("jaxcirc")
