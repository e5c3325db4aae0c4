"""Whatever a study file says, the answer is a study or an error that says what."""

import json
import os
import random
import subprocess
import sys

import pytest

from jaxcirc.study import PACKAGED

# Reads studies one after the other; a line for each. A crash ends the lines.
PROGRAM = """
import json, resource, signal, sys, time
resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
from jaxcirc.study import check_memory, load_config, prepare

class Hangs(BaseException): pass
def ring(*_): raise Hangs
signal.signal(signal.SIGALRM, ring)
for line in open(sys.argv[1], encoding="utf-8"):
    with open(sys.argv[2], "w", encoding="utf-8", newline="") as file:
        file.write(json.loads(line))
    signal.alarm(20)
    try:
        prepared = prepare(load_config(sys.argv[2]))
        prepared.identity()
        check_memory(prepared)
        said = "study"
    except (ValueError, OSError, ImportError) as error:
        said = "refused" if str(error).strip() else "refused without a word"
    except Hangs:
        said = "hangs"
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"
    signal.alarm(0)
    print(json.dumps(said), flush=True)
"""

ODD = """
-1 0 1e400 .nan .inf null true '' [] {} [[]] 9999999999999999999999 0x10 ~ a: b
${steps} ${oc.env:HOME} &a *a !!python/none - {name: 1} 1.5 2**31 '\\ud800'
"""


def mutated(text: str, rng: random.Random) -> str:
    """A study with one to three things changed."""
    for _ in range(rng.randint(1, 3)):
        lines = text.split("\n")
        at = rng.randrange(len(lines))
        kind = rng.randrange(6)
        if kind == 0:  # another value
            key, colon, _ = lines[at].partition(":")
            lines[at] = f"{key}{colon} {rng.choice(ODD.split())}"
        elif kind == 1:  # a line less
            del lines[at]
        elif kind == 2:  # a line twice
            lines.insert(at, rng.choice(lines))
        elif kind == 3:  # another depth
            lines[at] = " " * rng.randint(1, 5) + lines[at]
        elif kind == 4 and lines[at]:  # another letter
            place = rng.randrange(len(lines[at]))
            letter = rng.choice(":[]{}#&*!|>'\"%@`,-?\x00\x7fé0 ")
            lines[at] = lines[at][:place] + letter + lines[at][place + 1 :]
        else:  # a word exchanged inside brackets
            words = lines[at].split(" ")
            words[rng.randrange(len(words))] = rng.choice(ODD.split())
            lines[at] = " ".join(words)
        text = "\n".join(lines)
    return text


def answers(tmp_path, number: int, seed: int) -> list[tuple[str, str]]:
    rng = random.Random(seed)
    # Those that read files of the machine, or need tracr, say less about studies.
    rows = [r for r in PACKAGED if r.name in ("induction", "grokking_llc", "llc_tour")]
    rows += [r for r in PACKAGED if r.name.endswith("dynamics")]
    texts = [
        mutated(rng.choice(rows).path.read_text(encoding="utf-8"), rng)
        for _ in range(number)
    ]
    lines = tmp_path / "texts"
    lines.write_text("\n".join(map(json.dumps, texts)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(lines), str(tmp_path / "study.yaml")],
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (texts[len(said)], done.stderr[-2000:])
    return list(zip(texts, said, strict=True))


def check(found: list[tuple[str, str]]) -> None:
    wrong = [(t, s) for t, s in found if s not in ("study", "refused")]
    assert not wrong, wrong[:3]
    # Most changes matter, and some do not.
    refused = sum(said == "refused" for _, said in found)
    assert 0.3 * len(found) < refused < len(found)


def test_some_mutated_studies_are_answered(tmp_path):
    check(answers(tmp_path, 25, seed=0))


@pytest.mark.slow
def test_five_hundred_mutated_studies_are_answered(tmp_path):
    check(answers(tmp_path, 500, seed=1))
