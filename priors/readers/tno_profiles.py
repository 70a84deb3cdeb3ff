"""Temporal profiles of TNO: three tables of semicolons by GNFR sector, for all of Europe, in local time."""

from pathlib import Path

import numpy as np

from inversion.observations.readers.files import source_of
from priors.profiles import Profile
from priors.readers.profile_tables import damaged, in_order, profiles, table, weights_of

NOTES = ("hours are local time, the first from midnight to one",)
REFERENCE = "Denier van der Gon et al. 2011, TNO report, EU FP7 MACC deliverable D_D-EMIS_1.3"


def read_tno_profiles(*paths: str | Path) -> dict[str, Profile]:
    """Profiles by GNFR code ("A", "F1", …) from `timeprofiles-month-in-year`, `-day-in-week`, `-hour-in-day` files.

    Args:
        paths: one to three of the files, each kind once.

    Raises:
        TanhengError: not such tables, one kind twice, different sectors, or weights whose mean is off by over 1 %.

    Reference: as in `REFERENCE`; GNFR sectors since 2018.
    """
    parts: dict[str, dict[str, np.ndarray]] = {}
    sources = []
    for path in paths:
        names, rows = table(path)
        if len(names) < 10 or not names[1].startswith("tno gnfr") or names[2] != "gnfr_category_name":
            raise damaged(
                path, f"columns {', '.join(names[:4])}", "number; TNO GNFR sectors; GNFR_Category_Name; weights"
            )
        kind = in_order(names[3:], path)
        found: dict[str, np.ndarray] = {}
        for _, code, name, *words in rows:
            if not code or name[:1] != code[:1] or code in found:
                raise damaged(path, f"sector {code!r} named {name!r}", "each GNFR code once, with its own name")
            found[code] = weights_of(words, path)
        if kind in parts:
            raise damaged(path, f"a second table by {kind}", "each kind of table once")
        parts[kind] = found
        sources.append(source_of(path, "TNO time profiles", "start", REFERENCE, NOTES))
    return profiles(parts, sources, "TNO")
