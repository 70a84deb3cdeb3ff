"""Sectors of one classification in another: EDGAR → IPCC 2006 → GNFR, every sector once."""

from priors.inventory import Inventory
from transport.errors import TanhengError

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
TABLES = {("EDGAR", "IPCC 2006"): EDGAR_TO_IPCC, ("IPCC 2006", "GNFR"): IPCC_TO_GNFR}


def classified(inventory: Inventory, classification: str) -> Inventory:
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
