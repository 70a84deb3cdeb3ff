"""Public input files: looked up in the mirror `TANHENG_DATA`, else fetched; always checked against their SHA-256."""

import dataclasses
import hashlib
import os
from pathlib import Path

import pooch

from transport.errors import TanhengError

MIRROR = "TANHENG_DATA"


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Files of one public data set.

    Args:
        name: folder in the mirror and in the cache.
        files: path within the data set to (URL, SHA-256); the URL is empty where a file was derived from public ones
            and lies in the mirror only.
        headers: HTTP headers that the server needs.
    """

    name: str
    files: dict[str, tuple[str, str]]
    headers: dict[str, str] = dataclasses.field(default_factory=dict)

    def fetch(self, path: str) -> Path:
        """Local path of a file whose content has been verified.

        Raises:
            TanhengError: unknown file, wrong hash, or neither mirror nor network has it.
        """
        if path not in self.files:
            raise TanhengError(
                f"data set {self.name} has no such file", got=path, expected=", ".join(self.files), remedy="name one"
            )
        url, sha256 = self.files[path]
        mirror = os.environ.get(MIRROR)
        local = Path(mirror).expanduser() / self.name / path if mirror else None
        if local is not None and local.is_file():
            return _verified(local, sha256)
        if not url:
            raise TanhengError(
                f"a file of data set {self.name} is not at hand",
                got=f"{path}: not in the mirror ({local or f'{MIRROR} is not set'})",
                expected=f"SHA-256 {sha256}; this file was derived from public ones and cannot be downloaded",
                remedy=f"set {MIRROR} to a folder that holds {self.name}/{path}",
            )
        return self._download(path, url, sha256, local)

    def _download(self, path: str, url: str, sha256: str, local: Path | None) -> Path:
        target = Path(pooch.os_cache("tanheng")) / self.name / path
        if target.is_file() and pooch.file_hash(str(target)) == sha256:
            return target
        pooch.get_logger().setLevel("ERROR")
        try:
            fetched = pooch.retrieve(
                url=url,
                known_hash=f"sha256:{sha256}",
                fname=target.name,
                path=target.parent,
                downloader=pooch.HTTPDownloader(headers=self.headers, timeout=60),  # type: ignore[arg-type]
            )
        except ValueError as error:  # pooch: the hash of what was downloaded differs
            raise TanhengError(
                "a downloaded file has the wrong SHA-256", got=url, expected=sha256,
                remedy="the source has changed; do not use it before you know why",
            ) from error  # fmt: skip
        except Exception as error:
            raise TanhengError(
                f"a file of data set {self.name} is not at hand",
                got=f"{path}: not in the mirror ({local or f'{MIRROR} is not set'}), and the download failed: "
                f"{type(error).__name__}",
                expected=url,
                remedy=f"connect to the network, or set {MIRROR} to a folder that holds {self.name}/{path}",
            ) from error
        return Path(fetched)

    def hash_of(self, path: str) -> str:
        """SHA-256 of a file of the data set."""
        return self.files[path][1]


def _verified(path: Path, sha256: str) -> Path:
    got = hashlib.sha256(path.read_bytes()).hexdigest()
    if got != sha256:
        raise TanhengError(
            "a file in the mirror has the wrong SHA-256",
            got=f"{path}: {got}",
            expected=sha256,
            remedy=f"restore the file, or unset {MIRROR} to download it",
        )
    return path


def _github(repository: str, commit: str, files: dict[str, str]) -> dict[str, tuple[str, str]]:
    base = f"https://raw.githubusercontent.com/{repository}/{commit}"
    return {path: (f"{base}/{path}", sha256) for path, sha256 in files.items()}


NEW_ZEALAND = Dataset(
    "nz_co2_steinkamp2017",
    _github(
        "KaySteinkamp/New-Zealand-CO2-inversion",
        "a5cf8d95345a508ea05c0e8fdba516da206ba8a7",
        {
            "NAMEgrid.mat": "7ba7f078029b50ba9b79f8238e8778f179bc3f6314deffcc47e7ee7bc15b149a",
            "GreensFun/GreensFun_1113.mat": "e5f613c47a949202e0591d86f781c570d2510acceed74cdd1c9e100b2fd1c846",
            "Observations/HourlyData_3sites_common_1113.mat": (
                "17f9ff29782f61ec18db802941295f3327e0720cab04021d480053cd075e3006"
            ),
            "Observations/daily_NSbaseline_1113.mat": (
                "f4cdf7a0262fdcb49f1a713ede91993029cc061e1951794994211523333ec551"
            ),
            "Observations/FossilResponse_1113.mat": "a37d32ca599130099ebb2c7580fec55bcf4b86be1ad2491a2b08bcb3e5dd2b32",
            "Priors/RegionPrior_scalingFac_monthly_newUnc_1113.mat": (
                "57fa7c5ea891e0cc387293fe9757d6691cf88514c96837d33821ff171341ce38"
            ),
        },
    ),
)

# These files live only in the history of their repository: a blob is named by its git hash (`git hash-object FILE`).
_BLOBS = "https://api.github.com/repos/ACRG-Bristol/acrg/git/blobs/"
UNITED_KINGDOM = Dataset(
    "uk_ch4_acrg_tdmcmc",
    {
        "inversion_output/tdmcmc_test_CH4_2014-03_68x78.nc": (
            _BLOBS + "9267bb510456e96faad1b0e27ee812d465ee11d9",
            "981e99b893a98330d039ef7fe29e0798ecbee378552eea545cf7c7023e3e66e2",
        ),
        "masks/country_EUROPE.nc": (
            _BLOBS + "505bb36ebf5e4b61435086a8e2a4654941d830dd",
            "48e6ae0618ef1bf7b7721f04a6de7a07b9ba8b6f5db6a3d18e520a2c4779df2a",
        ),
    },
    headers={"Accept": "application/vnd.github.raw+json"},
)

# Weather and soundings were joined or converted from the repository's files (see the case's page); the prior is as it
# stands there.
_BOWEN_COMMIT = "441e2cc9ce704c3112ba913b589eecfd12ab1bb9"
BOWEN_BASIN = Dataset(
    "openmethane_bowen_basin",
    {
        "case_2022-12-07/wrf_20221207_d01_25h.nc": (
            "", "f3f62a1854c65ce1b4a47c11ad3fce44cbf41a1432b51ff91c853a769dc227d5",
        ),
        "case_2022-12-07/prior/prior-emissions.nc": (
            f"https://raw.githubusercontent.com/openmethane/openmethane/{_BOWEN_COMMIT}/tests/test-data/prior/"
            "prior-emissions.nc", "7e0acc27c9e0579f1befd8774f5247ad7eccc99d9590cdddbfd95ae1dc87fdc5",
        ),
        "case_2022-12-07/obs/test_obs_2022-12-07.nc": (
            "", "170026c7e6739862ffa3d33f09112b005b2ea99aec7493dc029a2c8da30673c9",
        ),
        "case_2022-12-07/templates/conc_template.nc": (
            "", "6c61c456c9734e19acf14ccd970b5e8f9e01f5e7a82d296c4697d58a241621c9",
        ),
        "case_2022-07-22/wrf_20220722_d01_25h.nc": (
            "", "94ba25be62b997848510ce80f2110f7f8f2f8ceb56d695992480ef22dcaef861",
        ),
        "case_2022-07-22/prior/prior-emissions.nc": (
            "", "1f9c91a9d781c3583cdb80135387eae46976747893644a065ec90dbb48fd1e30",
        ),
        "case_2022-07-22/obs/test_obs_2022-07-22.nc": (
            "", "4576cefc70337b2afb51dbef82e593f3afdd1202d2f45d0e33520160ce0a0081",
        ),
    },
)  # fmt: skip
MANAGUA = Dataset(
    "ecmwf_nam_managua",
    {
        "ecmwf_hres_20171203T03-20171206T00_managua.nc": (
            "", "2828e5e363bfdd0c59fcb00932e127b1ac81a172ee31150d1f6939ed10df8c94",
        ),
        "ecmwf_hres_20171210T03-20171212T00_managua.nc": (
            "", "4422835b183cbda0b7e342a2898332c3a496b2ef8508b2e3d1c8b8368a0dbb15",
        ),
    },
)  # fmt: skip
GDAS = Dataset(
    "gdas_arl_7day",
    {
        "extract_22666.bin": ("", "c002d0231e1e04d6279cdbc93dc61978265302c8d7cea4e8b255b7eac2276166"),
        "extract_29460.bin": ("", "92e27fec42b59cf5fd3f4dbc2699781f0f49ca645ef4498ec67537922502a99c"),
        "gdas_042.bin": ("", "0c58ed6f1b33ab6d28ebb6584b9a639c0f8831a207941a6f0dad9ed2e7cb3140"),
    },
)
_MPTRAC = "https://raw.githubusercontent.com/slcs-jsc/mptrac/87889ee4184801120b5b0237ddc133d83702edcf/tests/data/"
ALPS = Dataset(
    "met_era5_alps_utm32",
    {
        name: (_MPTRAC + name, sha256)
        for name, sha256 in {
            "era5_utm32_2025_05_01_00.nc": "2d6b2aebddf2f65723eac062350f9c87282272bf1409c7b637d400fb6ed8fd96",
            "era5_utm32_2025_05_01_01.nc": "2d2e14115a1b8b26d3aec8aa417e7b0b360d2564211714ceb41aa398664bacca",
            "era5_utm32_2025_05_01_02.nc": "6a14ffeb43dcc7636cd4b43f80248d7a16118ea3bf130850bb9d8e497ab08384",
        }.items()
    },
)
_POWER_PLANTS = "coco2_ps_database/coco2_ps_"
MATIMBA = Dataset(
    "matimba_no2_era5",
    {
        "Matimba_ERA5-pl-20210725.nc": ("", "0a76f6cb9e37fd8ce33c3e28fc1cb6f85f0b8e4d29a4d1af7ab26f0d1b09a505"),
        "Matimba_ERA5-sl-20210725.nc": ("", "9005db07f77747f6e8d1bcf1240c2c5dbd9c7b2f71b89e6f5c1b9eaeb8c8bb6e"),
        f"{_POWER_PLANTS}catalogue_v1.1.csv": ("", "6011db96db3bbc58c4850e41eaf3d38ec5513c3f2072e0c02ed5174f99ab8d01"),
        f"{_POWER_PLANTS}hourly_profiles_v1.1.csv": (
            "", "a6369a3f6dd57a040120ce2d105897c2e0cf6da67449444383b876361dd2537f",
        ),
        f"{_POWER_PLANTS}monthly_profiles_v1.1.csv": (
            "", "56898c3cec8cf9f780a78df4533f018df31162038c9b50c778f8a5ab8e77a2ac",
        ),
        f"{_POWER_PLANTS}weekly_profiles_v1.1.csv": (
            "", "471ac0c7ed55e7d3a3907ec0b074597de0ce9847b3994fcab78b3dd4fbc23d52",
        ),
    },
)  # fmt: skip
SMARTCARB = Dataset(
    "smartcarb_berlin_co2",
    {
        "cosmo_2d_2015042311_xco2_subset.nc": ("", "4a7671622db12bb1dee4925bb418982af38eafd7bc0d2440ae51ccb52d07fc36"),
        "Sentinel_7_CO2_2015042311_subset.nc": ("", "aa1e6a7c9d27dc2bacab3028465bc86cea7c496891ee64ee7e2e34c1f7b20069"),
        "SMARTCARB-CO2-emissions.csv": ("", "4e5ddc2ee3b15df6411bcc3738de63a717aded251d522f7382ed7a631e1aa6b6"),
        "sources-smartcarb.csv": ("", "6acabcb50d96870c42d3963a618c03d927cee42c0c0ebe8cb8d741c869d23fef"),
    },
)  # fmt: skip
_ALL = (NEW_ZEALAND, UNITED_KINGDOM, BOWEN_BASIN, MANAGUA, GDAS, ALPS, MATIMBA, SMARTCARB)
DATASETS = {d.name: d for d in _ALL}


def locate(name: str) -> tuple[Path, str]:
    """A file that a user names: registered in a data set, in the data folder, or by its absolute path.

    Args:
        name: "data set/path", a path below the folder named by TANHENG_DATA, or an absolute path.

    Returns:
        local path and SHA-256; a registered file has been verified.

    Raises:
        TanhengError: nowhere to be found, or another file than the registered one.
    """
    folder, _, rest = name.partition("/")
    dataset = DATASETS.get(folder)
    if dataset is not None and rest in dataset.files:
        return dataset.fetch(rest), dataset.hash_of(rest)
    mirror = os.environ.get(MIRROR)
    path = Path(name).expanduser()
    if not path.is_absolute():
        path = Path(mirror).expanduser() / name if mirror else Path.cwd() / name
    if not path.is_file():
        raise TanhengError(
            "a file is not at hand", got=f"{name}: looked for {path}",
            expected="an absolute path, or a path below the folder that TANHENG_DATA names",
            remedy=f"correct the path{'' if mirror else f', or set {MIRROR}'}",
        )  # fmt: skip
    return path, hashlib.sha256(path.read_bytes()).hexdigest()
