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
        files: path within the data set to (URL, SHA-256).
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
