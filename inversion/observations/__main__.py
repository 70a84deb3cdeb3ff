"""What is in files of observations: `python -m inversion.observations READER FILE … [--write OUT.nc]`."""

import argparse
import sys

from inversion.observations.describe import describe
from inversion.observations.netcdf import write
from inversion.observations.observations import join
from inversion.observations.readers import READERS
from inversion.observations.readers.table import ColumnMap, read_table
from transport.errors import TanhengError


def main() -> int:
    """Read, describe and, if asked, write as one CF NetCDF file; 1 after a refusal."""
    parser = argparse.ArgumentParser(prog="python -m inversion.observations", description=__doc__)
    parser.add_argument("reader", choices=(*READERS, "table"), help="format of the files")
    parser.add_argument("files", nargs="+", help="files of one species")
    parser.add_argument("--columns", help="YAML map of the columns, for reader table")
    parser.add_argument("--write", metavar="OUT.nc", help="write the joined set as CF NetCDF")
    asked = parser.parse_args()
    try:
        if asked.reader == "table":
            if asked.columns is None:
                raise TanhengError(
                    "a table needs a map of its columns", got="no --columns", expected="a YAML file",
                    remedy="see docs/observations_towers.md",
                )  # fmt: skip
            columns = ColumnMap.load(asked.columns)
            found = join([read_table(file, columns) for file in asked.files])
        else:
            found = join([READERS[asked.reader](file) for file in asked.files])
        print(describe(found))
        if asked.write:
            print(f"written: {write(found, asked.write)}")
    except TanhengError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
