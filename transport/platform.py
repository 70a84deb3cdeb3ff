"""What must be set before JAX compiles anything."""

import os
from importlib.metadata import version

# In jaxlib 0.10 programs on the CPU can wait for themselves for ever when two factorisations run at once (seen under
# load with a vmapped eigh or Cholesky, every time; never with this flag). Other releases are not touched: XLA ends the
# process at a flag that it does not know.
FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler"
AFFECTED = "0.10."


def avoid_stalls() -> None:
    """Turn off the XLA scheduler that stalls, unless the user has decided about it."""
    flags = os.environ.get("XLA_FLAGS", "")
    if version("jaxlib").startswith(AFFECTED) and FLAG not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {FLAG}=false".strip()
