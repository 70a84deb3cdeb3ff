"""Small files in the form of each family of inventories, after docs/priors_inventories.md. Synthetic, never data."""

from pathlib import Path

import h5py
import numpy as np
import tifffile
import xarray as xr

from priors.readers import epa, gfed
from tests.priors.fuzz_inventories import small

NY, NX = 3, 4
RISING = np.arange(1.0, NY * NX + 1.0).reshape(NY, NX)  # first row of the file is 1, 2, 3, 4


def axes(lon, lat, names=("lon", "lat")):
    return {
        names[0]: ((names[0],), np.asarray(lon), {"units": "degrees_east"}),
        names[1]: ((names[1],), np.asarray(lat), {"units": "degrees_north"}),
    }


def edgar_flux(folder: Path, name="v6.0_CH4_2015_ENE.0.1x0.1.nc", scale=1e-9, units="kg m-2 s-1", variable="emi_ch4"):
    """Cells at 10.05…10.35° E, 0.05…0.25° N."""
    values = (("lat", "lon"), (RISING * scale).astype("f4"), {"units": units})
    return small(xr.Dataset({variable: values, **axes(10.05 + 0.1 * np.arange(NX), 0.05 + 0.1 * np.arange(NY))}),
                 folder / name)  # fmt: skip


def edgar_emi(folder: Path, name="v8.0_FT2022_GHG_CO2_2020_ENE_emi.nc", substance="CO2"):
    """Tonnes per cell and year of 2020, a leap year; longitudes 0…360 and a globe of 90° × 60°."""
    attributes = {"units": "Tonnes", "substance": substance, "year": "2020", "long_name": "emissions"}
    return small(xr.Dataset({"emissions": (("lat", "lon"), RISING, attributes),
                             **axes([45.0, 135.0, 225.0, 315.0], [-60.0, 0.0, 60.0])}), folder / name)  # fmt: skip


def odiac_tiff(folder: Path, name="odiac2020b_1km_excl_intl_1902.tif", values=RISING, nodata="", **options):
    """Tonnes of carbon per cell and month of February 2019; north first, 1/120° cells from 10° E, 50° N."""
    step = 1.0 / 120.0
    # GeoKeyDirectory: geographic model, pixel is area, WGS 84.
    keys = (1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326)
    tags = [(33550, 12, 3, (step, step, 0.0), True), (33922, 12, 6, (0.0, 0.0, 0.0, 10.0, 50.0, 0.0), True),
            (34735, 3, len(keys), keys, True), *([(42113, 2, 0, nodata, True)] if nodata else [])]  # fmt: skip
    tifffile.imwrite(folder / name, values.astype("f4"), extratags=tags, metadata=None, rowsperstrip=1, **options)
    return folder / name


def odiac_netcdf(folder: Path, name="odiac2022_1x1d_2020.nc"):
    values = np.broadcast_to(RISING, (12, NY, NX)) * np.arange(1.0, 13.0)[:, None, None]
    unit = {"units": "gC/m2/d"}
    return small(xr.Dataset({"land": (("month", "lat", "lon"), values, unit),
                             "intl_bunker": (("month", "lat", "lon"), 0.5 * values, unit),
                             **axes(10.5 + np.arange(NX), 50.5 + np.arange(NY))}), folder / name)  # fmt: skip


def gfed_year(folder: Path, name="GFED4.1s_2016.hdf5"):
    """kg of dry matter m-2 month-1, north first, no named dimensions."""
    lon, lat = np.meshgrid(10.125 + 0.25 * np.arange(NX), 20.625 - 0.25 * np.arange(NY))
    area = 6371000.0**2 * np.deg2rad(0.25) * (np.sin(np.deg2rad(lat + 0.125)) - np.sin(np.deg2rad(lat - 0.125)))
    with h5py.File(folder / name, "w") as h:
        h["lon"], h["lat"], h["ancill/grid_cell_area"] = lon, lat, area * 1.002
        for month in range(1, 13):
            group = h.create_group(f"emissions/{month:02d}")
            group["DM"] = RISING * month * 1e-3
            for kind, share in zip(gfed.FACTORS["CO2"], (0.5, 0.25, 0.25, 0.0, 0.0, 0.0), strict=True):
                group[f"partitioning/DM_{kind}"] = np.full((NY, NX), share)
    return folder / name


def epa_year(folder: Path, name="GEPA_Annual_2012_v1.nc"):
    fields = {f"emissions_{s}": (("lat", "lon"), (RISING * 1e10 * (k + 1)).astype("f4"), {"units": "moleccm-2s-1"})
              for k, s in enumerate(epa.SECTORS)}  # fmt: skip
    return small(xr.Dataset(fields | axes(-100.05 + 0.1 * np.arange(NX), 40.05 + 0.1 * np.arange(NY)),
                            attrs={"emissions_year": "2012"}), folder / name)  # fmt: skip


def cams_reg(folder: Path, name="CAMS-REG-ANT_EUR_0.05x0.1_anthro_ch4_v6.1-Ref2_yearly_2022.nc"):
    names = ("A_PublicPower", "B_Industry", "C_OtherStationaryComb", "D_Fugitives", "E_Solvents", "F_RoadTransport",
             "G_Shipping", "H_Aviation", "I_OffRoad", "J_Waste", "K_AgriLivestock", "L_AgriOther")  # fmt: skip
    fields = {n: (("time", "lat", "lon"), RISING[None] * 1e-6, {"units": "Tg"}) for n in names}
    time = {"time": (("time",), [0], {"units": "days since 2022-01-01"})}
    return small(xr.Dataset(fields | time | axes(10.05 + 0.1 * np.arange(NX), 50.025 + 0.05 * np.arange(NY))),
                 folder / name)  # fmt: skip


def tno(folder: Path, name="TNO_GHGco_v4_0_year2018.nc"):
    """Four sources: two areas of A, one area and one point of B."""
    integers = lambda x: (("source",), np.array(x, "i4"))  # noqa: E731
    kilograms = lambda x: (("source",), np.array(x), {"units": "kg/year"})  # noqa: E731
    lon, lat = 10.05 + 0.1 * np.arange(NX), 50.025 + 0.05 * np.arange(NY)
    return small(xr.Dataset({
        **axes(lon, lat, ("longitude", "latitude")),
        "emis_cat_code": (("emis_cat",), np.array([b"A", b"B"])),
        "longitude_index": integers([1, 2, 3, 4]), "latitude_index": integers([1, 1, 2, 3]),
        "longitude_source": (("source",), lon), "latitude_source": (("source",), lat[[0, 0, 1, 2]] + 0.01),
        "emission_category_index": integers([1, 1, 2, 2]), "source_type_index": integers([1, 1, 1, 2]),
        "co2_ff": kilograms([1e6, 2e6, 3e6, 5e6]), "co2_bf": kilograms([1e5, 0.0, 2e5, 0.0]),
        "ch4": kilograms([1.0, 2.0, 3.0, 4.0]),
    }), folder / name)  # fmt: skip


def meic_netcdf(folder: Path, name="2017_02__power__CO2.nc"):
    """Tonnes per cell and month of February, north first, one missing cell."""
    z = RISING.ravel().copy()
    z[5] = -9999.0
    numbers = {"x_range": [70.0, 71.0], "y_range": [10.0, 10.75], "spacing": [0.25, 0.25], "dimension": [NX, NY]}
    fields = {k: (("side",), np.array(v, "i4" if k == "dimension" else "f8")) for k, v in numbers.items()}
    return small(xr.Dataset(fields | {"z": (("xysize",), z)}), folder / name)


def meic_ascii(folder: Path, name="2017_02__power__CO2.asc"):
    head = f"ncols {NX}\nnrows {NY}\nxllcorner 70\nyllcorner 10\ncellsize 0.25\nNODATA_value -9999\n"
    z = RISING.astype(int).astype(str)
    z[1, 1] = "-9999"
    (folder / name).write_text(head + "\n".join(" ".join(row) for row in z) + "\n")
    return folder / name


def carbontracker(folder: Path, name="CT2022.flux1x1.20190701.nc"):
    fields = {v: (("time", "latitude", "longitude"), sign * 1e-8 * np.broadcast_to(RISING, (8, NY, NX)),
                  {"units": "mol m-2 s-1"})
              for v, sign in (("bio_flux_opt", -1.0), ("ocn_flux_opt", -0.1), ("fire_flux_imp", 0.5),
                              ("fossil_flux_imp", 1.0))}  # fmt: skip
    time = {"time": (("time",), 5400.0 + 10800.0 * np.arange(8), {"units": "seconds since 2019-07-01"})}
    return small(xr.Dataset(fields | time | axes(-179.5 + np.arange(NX), 20.5 + np.arange(NY),
                                                 ("longitude", "latitude"))), folder / name)  # fmt: skip


def openghg(folder: Path, name="co2-gpp-test_EUROPE_2018.nc", times=(0, 31)):
    flux = -1e-7 * np.repeat(RISING[:, :, None], len(times), axis=2)
    return small(xr.Dataset({
        "flux": (("lat", "lon", "time"), flux, {"units": "mol/m2/s", "species": "co2", "source": "co2-gpp-test"}),
        "time": (("time",), np.array(times), {"units": "days since 2018-01-01 00:00:00"}),
        **axes(-10.0 + 0.352 * np.arange(NX), 50.0 + 0.234 * np.arange(NY)),
    }, attrs={"title": "Gross primary productivity"}), folder / name)  # fmt: skip


def open_methane(folder: Path, name="prior-emissions.nc"):
    import pyproj

    crs = pyproj.CRS("+proj=lcc +lat_0=-23 +lon_0=133 +lat_1=-15 +lat_2=-40 +R=6370000 +units=m")
    x, y = 1.5e6 + 1e4 * np.arange(NX + 1), 3e5 + 1e4 * np.arange(NY + 1)
    lon, lat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(
        *np.meshgrid(x[:-1] + 5e3, y[:-1] + 5e3)
    )
    sectors = {f"ch4_sector_{s}": f * RISING[None, None] for s, f in (("waste", 1e-10), ("fugitive", 3e-10))}
    fields = {**sectors, "ch4_total": 4e-10 * RISING[None, None]}
    return small(xr.Dataset({
        **{k: (("time", "vertical", "y", "x"), v, {"units": "kg/m2/s"}) for k, v in fields.items()},
        "lon": (("y", "x"), lon), "lat": (("y", "x"), lat),
        "x_bounds": (("x", "cell_bounds"), np.stack([x[:-1], x[1:]], 1)),
        "y_bounds": (("y", "cell_bounds"), np.stack([y[:-1], y[1:]], 1)),
        "time": (("time",), np.array([0]), {"units": "days since 2022-12-07"}),
        "lambert_conformal": ((), 0, {"crs_wkt": crs.to_wkt()}),
    }, attrs={"XCELL": 1e4, "YCELL": 1e4}), folder / name)  # fmt: skip


def coco2(folder: Path, name="coco2_ps_catalogue_v1.1.csv"):
    head = ("ID", "ISO3", "fuel", "longitude", "latitude", "co2_emis_ty", "nox_emis_ty", "sox_emis_ty", "co_emis_ty",
            "ch4_emis_ty", "ID_MonthFact", "ID_WeekFact", "ID_HourFact", "ID_VertProf")  # fmt: skip
    rows = [f'"CoCO2_{k:05d}","ZAF","coal",{27 + 0.1 * k},{-23.5 - 0.1 * k},{1e6 * k},3,2,7,{4 * k},"FM_300","FW_255",'
            f'"FH_243","VP_06354"' for k in range(1, 5)]  # fmt: skip
    (folder / name).write_text(",".join(f'"{h}"' for h in head) + "\n" + "\n".join(rows) + "\n")
    return folder / name
