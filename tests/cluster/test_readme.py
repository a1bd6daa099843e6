"""What the README shows was run, and does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from programs import OWN_OUTPUT

README = (Path(__file__).parents[2] / "README.md").read_text()


def block(language: str) -> str:
    """The first block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


def run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", OWN_OUTPUT + program], capture_output=True, text=True, timeout=120, check=True
    ).stdout


def test_the_readmes_example_prints_what_the_readme_shows() -> None:
    assert run(block("python")).strip().endswith(block("text").strip())


def test_the_readmes_memoized_function_says_what_the_readme_shows(tmp_path: Path) -> None:
    """But for the times of the moment."""
    section = README[README.index("## Memoize") :]
    program, shown = (re.search(rf"```{each}\n(.*?)```", section, re.DOTALL)[1] for each in ("python", "text"))
    (tmp_path / "embed.py").write_text(OWN_OUTPUT + program)
    said = subprocess.run(
        [sys.executable, tmp_path / "embed.py"], capture_output=True, text=True, timeout=120, check=True
    ).stdout

    assert _timeless(said) == _timeless(shown)


def _timeless(text: str) -> str:
    return re.sub(r"(computed|took|expires) .*", r"\1", text.strip())


def test_the_readmes_inline_example_loads_again_after_the_expiry() -> None:
    example = next(part for part in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "inline" in part)
    program = f"import raycache\ncalls = []\nfetch = calls.append\n{example}\nprint(len(calls))"

    assert run(program).strip() == "2"
