"""The example of B in docs/priors_time_biosphere_boundary.md prints what the page says."""

import contextlib
import io
import re
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "priors_time_biosphere_boundary.md").read_text("utf-8")
EXAMPLE = re.search(r"```python\n((?:(?!```).)*describe.*?)```\n\n((?:(?:    [^\n]*)?\n)+)", PAGE, re.S)


def test_the_example_prints_what_the_page_says():
    assert EXAMPLE is not None
    code, printed = EXAMPLE.groups()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "docs/priors_time_biosphere_boundary.md", "exec"), {})
    lines = [line.rstrip() for line in out.getvalue().rstrip().splitlines()]
    assert lines == re.sub(r"^    ", "", printed, flags=re.M).rstrip().splitlines()
    assert any(line.split()[:2] == ["city", "0.17717"] for line in lines)
