"""The code of docs/llc.md runs, block after block, and prints what it says."""

import contextlib
import io
import pathlib
import re

DOCS = pathlib.Path(__file__).parents[1] / "docs"


def test_the_blocks_of_the_llc_guide():
    text = (DOCS / "llc.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    code = "\n".join(blocks)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "llc.md", "exec"), {})
    promised = re.findall(r"^print\(.*\) +# (.*)$", code, flags=re.M)
    lines = printed.getvalue().splitlines()
    assert len(lines) == len(promised) == 3
    for line, promise in zip(lines, promised, strict=True):
        assert promise.startswith(line) or promise.endswith(line), (line, promise)
