"""The flag that keeps XLA from waiting for itself."""

import os
import subprocess
import sys

from transport import platform


def test_it_is_set_before_anything_is_compiled():
    """Two vmapped factorisations at once stall jaxlib 0.10 on a busy machine within seconds where it is not."""
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    program = "import inversion.problem, os; print(os.environ.get('XLA_FLAGS', ''))"
    shown = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    affected = platform.version("jaxlib").startswith(platform.AFFECTED)
    assert (f"{platform.FLAG}=false" in shown.stdout) == affected


def test_the_user_decides(monkeypatch):
    monkeypatch.setattr(platform, "version", lambda _: "0.10.2")
    for given, expected in (
        ("", f"{platform.FLAG}=false"), ("--a=1", f"--a=1 {platform.FLAG}=false"),
        (f"{platform.FLAG}=true", f"{platform.FLAG}=true"),
    ):  # fmt: skip
        monkeypatch.setenv("XLA_FLAGS", given)
        platform.avoid_stalls()
        assert os.environ["XLA_FLAGS"] == expected
    monkeypatch.setattr(platform, "version", lambda _: "0.11.0")
    monkeypatch.setenv("XLA_FLAGS", "")
    platform.avoid_stalls()
    assert os.environ["XLA_FLAGS"] == ""
