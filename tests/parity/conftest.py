"""Scripts that made the frozen numbers need what the tests do not."""

collect_ignore_glob = ["make_*.py"]
