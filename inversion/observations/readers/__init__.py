"""Readers by name: a file of a known format becomes a set of observations."""

from collections.abc import Callable

from inversion.observations.observations import Observations
from inversion.observations.readers.agage import read_agage
from inversion.observations.readers.em27 import read_em27
from inversion.observations.readers.gosat import read_gosat
from inversion.observations.readers.icos import read_icos
from inversion.observations.readers.lidar import read_ipda
from inversion.observations.readers.noaa_text import read_noaa_text
from inversion.observations.readers.obspack import read_obspack
from inversion.observations.readers.oco3_sam import read_oco3_cells, read_oco3_sam
from inversion.observations.readers.oco_lite import read_oco_lite
from inversion.observations.readers.open_methane import read_open_methane
from inversion.observations.readers.smartcarb import read_co2m
from inversion.observations.readers.tansat import read_tansat
from inversion.observations.readers.tccon import read_tccon
from inversion.observations.readers.tropomi_ch4 import read_tropomi_ch4
from inversion.observations.readers.tropomi_no2 import read_tropomi_no2
from inversion.observations.readers.wdcgg import read_wdcgg

# Readers that need nothing but a file; `table.read_table` and `lidar.read_paths` need a map of columns besides.
READERS: dict[str, Callable[..., Observations]] = {
    "agage": read_agage,
    "co2m": read_co2m,
    "em27": read_em27,
    "gosat": read_gosat,
    "icos": read_icos,
    "ipda": read_ipda,
    "noaa_text": read_noaa_text,
    "obspack": read_obspack,
    "oco3_cells": read_oco3_cells,
    "oco3_sam": read_oco3_sam,
    "oco_lite": read_oco_lite,
    "open_methane": read_open_methane,
    "tansat": read_tansat,
    "tccon": read_tccon,
    "tropomi_ch4": read_tropomi_ch4,
    "tropomi_no2": read_tropomi_no2,
    "wdcgg": read_wdcgg,
}
