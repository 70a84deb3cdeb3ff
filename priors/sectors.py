"""Sectors of one classification in another: EDGAR → IPCC 2006 → GNFR, every sector once; and which hold each other."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from transport.errors import TanhengError

if TYPE_CHECKING:  # which checks its sectors by this module
    from priors.inventory import Inventory

SHORT_CYCLE = " short-cycle"
# EDGAR v8 sector codes, Crippa et al. 2023 (doi 10.2760/953322), table of sectors.
EDGAR_TO_IPCC = {
    "ENE": "1.A.1.a", "REF_TRF": "1.A.1.bc", "IND": "1.A.2", "TNR_Aviation_CDS": "1.A.3.a cruise",
    "TNR_Aviation_CRS": "1.A.3.a cruise",
    "TNR_Aviation_LTO": "1.A.3.a", "TNR_Aviation_SPS": "1.A.3.a cruise", "TRO": "1.A.3.b", "TRO_noRES": "1.A.3.b",
    "TNR_Other": "1.A.3.ce", "TNR_Ship": "1.A.3.d", "RCO": "1.A.4", "PRO": "1.B", "PRO_FFF": "1.B", "PRO_COAL": "1.B.1",
    "PRO_OIL": "1.B.2.a", "PRO_GAS": "1.B.2.b", "NMM": "2.A", "CHE": "2.B", "IRO": "2.C", "NFE": "2.C",
    "NEU": "2.D.1-2",
    "PRU_SOL": "2.D.3", "ENF": "3.A.1", "MNM": "3.A.2", "AWB": "3.C.1", "AGS": "3.C.2-7", "SWD_LDF": "4.A",
    "SWD_INC": "4.C", "WWT": "4.D",
}  # fmt: skip
# UNECE CLRTAP reporting guidelines 2014, annex I: NFR to GNFR; EMEP/EEA guidebook 2023.
IPCC_TO_GNFR = {
    "1.A.1.a": "A", "1.A.1.bc": "B", "1.A.2": "B", "1.A.3.a": "H", "1.A.3.a cruise": "O", "1.A.3.b": "F",
    "1.A.3.ce": "I", "1.A.3.d": "G", "1.A.4": "C", "1.B": "D", "1.B.1": "D", "1.B.2.a": "D", "1.B.2.b": "D",
    "2.A": "B", "2.B": "B", "2.C": "B", "2.D.1-2": "B", "2.D.3": "E", "3.A.1": "K", "3.A.2": "K", "3.C.1": "L",
    "3.C.2-7": "L",
    "4.A": "J", "4.C": "J", "4.D": "J",
}  # fmt: skip
# Each code with those that hold a part of the same emissions; F1…F4 of GNFR are road transport by fuel and wear.
_PARTS = ("PRO_COAL", "PRO_OIL", "PRO_GAS")
HELD = {
    "EDGAR": {"TRO": ("TRO_noRES",), "PRO": ("PRO_FFF", *_PARTS), "PRO_FFF": _PARTS, "TOTALS": tuple(EDGAR_TO_IPCC)},
    "GNFR": {"F": ("F1", "F2", "F3", "F4")},
}
TABLES = {("EDGAR", "IPCC 2006"): EDGAR_TO_IPCC, ("IPCC 2006", "GNFR"): IPCC_TO_GNFR}


def check_exclusive(sectors: Sequence[str], classification: str) -> None:
    """Refuse sectors of which one holds another: their sum would count twice. Short-cycle carbon is apart from fossil.

    Args:
        sectors: names.
        classification: "EDGAR", "GNFR" or "IPCC 2006", where 1.B holds 1.B.1; of others nothing is known.

    Raises:
        TanhengError: names the pairs.
    """
    held = HELD.get(classification, {})

    def holds(whole: str, part: str) -> bool:
        if whole.endswith(SHORT_CYCLE) != part.endswith(SHORT_CYCLE):
            return False
        whole, part = whole.removesuffix(SHORT_CYCLE), part.removesuffix(SHORT_CYCLE)
        return part in held.get(whole, ()) or (classification == "IPCC 2006" and part.startswith(f"{whole}."))

    pairs = [f"{a} holds {b}" for a, b in itertools.permutations(sectors, 2) if holds(a, b)]
    if pairs:
        raise TanhengError(
            "sectors of an inventory hold each other and would count twice", got="; ".join(pairs[:6]),
            expected="either the whole or its parts", remedy="leave the one or the others out",
        )  # fmt: skip


def classified(inventory: "Inventory", classification: str) -> "Inventory":
    """An inventory in another classification; short-cycle carbon stays apart.

    Args:
        inventory: in "EDGAR" or "IPCC 2006".
        classification: "IPCC 2006" or "GNFR".

    Raises:
        TanhengError: no table leads there, or a sector is in none; totals over all sectors cannot be divided.
    """
    own = inventory.classification
    if (own, classification) == ("EDGAR", "GNFR"):
        return classified(classified(inventory, "IPCC 2006"), "GNFR")
    if (own, classification) not in TABLES:
        raise TanhengError(
            "no table leads from one classification of sectors to the other", got=f"{own!r} → {classification!r}",
            expected="; ".join(f"{a} → {b}" for a, b in TABLES), remedy="merge the sectors by hand: Inventory.merged",
        )  # fmt: skip
    table, groups = TABLES[own, classification], {}
    for sector in inventory.sectors:
        plain = sector.removesuffix(SHORT_CYCLE)
        if plain not in table:
            raise TanhengError(
                f"a sector is not one of {own}", got=sector, expected=", ".join(table),
                remedy="read the sectors, not the totals, or merge them by hand: Inventory.merged",
            )  # fmt: skip
        groups.setdefault(table[plain] + sector[len(plain) :], []).append(sector)
    return inventory.merged(groups, classification)
