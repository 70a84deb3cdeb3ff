"""The commands of docs/account.md print what the page says."""

import contextlib
import io
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "account.md").read_text("utf-8")
FILES = re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.S)
BLOCKS = re.findall(r"```python\n(.*?)```\n\n((?:    [^\n]*\n)+)", PAGE, re.S)


@pytest.mark.parametrize(("code", "printed"), BLOCKS, ids=["map", "stack", "account", "trend"])
def test_the_page_says_what_its_commands_print(code, printed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES:
        (tmp_path / name).write_text(text)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "docs/account.md", "exec"), {})
    assert out.getvalue() == re.sub(r"^    ", "", printed, flags=re.M)
