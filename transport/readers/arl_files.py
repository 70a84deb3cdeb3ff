"""The records of NOAA ARL packed files: times, positions of the fields, and the fields unpacked by `arlmet`.

A file is a sequence of times; each is an index and one record of 50 + nx·ny bytes per variable and level. On small
grids the index is longer than a record and goes on in further INDX records: `_index` joins them, which `arlmet.File`
0.1.0b4 does not. Only WWND, TKEN and precipitation have DIF records, and none of them is read here.

Reference: HYSPLIT User's Guide, Meteorology / ARL data format (S141).
"""

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from arlmet import Header, IndexRecord, calculate_checksum, unpack

from transport.errors import TanhengError


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """One time of one file.

    Args:
        path: the file.
        index: its index record.
        time: UTC.
        records: (level, name) → (byte position, checksum).
        extent: first byte of the time in the file, and the one after its last.
    """

    path: Path
    index: IndexRecord
    time: np.datetime64
    records: dict[tuple[int, str], tuple[int, int]]
    extent: tuple[int, int]


def damaged(path: Path, what: str, got: object, expected: object) -> TanhengError:
    """The error for a file whose bytes are not what they should be."""
    return TanhengError(f"{path}: {what}", got=got, expected=expected, remedy="fetch or convert the file again")


def timeline(files: Sequence[Path]) -> tuple[list[Step], list[str]]:
    """The times of all files in order, each once, on one grid with one set of levels.

    Args:
        files: in any order.

    Returns:
        the times, and notes on those that are skipped.

    Raises:
        TanhengError: a damaged file, an unusable grid, files that differ.
    """
    if not files:
        raise TanhengError("no ARL file is given", got="an empty list", expected="one path or more", remedy="name them")
    by_time, notes = {}, []
    for step in (s for path in files for s in _scan(path)):
        known = by_time.setdefault(step.time, step)
        if known is not step and _bytes(known) != _bytes(step):
            what = f"{step.time} is there twice with different data"
            raise damaged(step.path, what, f"also in {known.path}", "each time once")
        if known is not step:
            notes.append(f"{step.time} is there twice; the copy in {step.path.name} is skipped.")
    steps = [by_time[time] for time in sorted(by_time)]
    for step in steps:
        if _layout(step.index) != _layout(steps[0].index):
            got, expected = (f"{_layout(s.index)[:4]}…" for s in (step, steps[0]))
            raise damaged(step.path, f"model, grid or levels change at {step.time}", got, f"{expected} as before")
    return steps, notes


def _bytes(step: Step) -> bytes:
    """All of a time: checksums alone would not tell, as they leave out the first value of a field."""
    with step.path.open("rb") as handle:
        handle.seek(step.extent[0])
        return handle.read(step.extent[1] - step.extent[0])


def _layout(index: IndexRecord) -> tuple:
    """Model, grid and levels of a time: all of the index but the variables."""
    names = [field.name for field in dataclasses.fields(index)]
    between = names[names.index("pole_lat") : names.index("levels")]
    levels = [level.height for level in index.levels]
    return index.source, index.nx, index.ny, index.nz, *(getattr(index, name) for name in between), *levels


def _scan(path: Path) -> list[Step]:
    """All times of a file, without unpacking."""
    try:
        size = path.stat().st_size
        handle = path.open("rb")
    except OSError as error:
        got = f"{path}: {error.strerror}"
        raise TanhengError("an ARL file cannot be read", got=got, expected="a file", remedy="correct it") from error
    steps, position = [], 0
    with handle:
        while position < size:
            try:
                index, count = _index(handle, position)
                time = index.time.to_datetime64().astype("datetime64[s]")
                index.vertical_axis  # noqa: B018 (raises for an unknown flag)
            except (ValueError, EOFError) as error:
                what = f"no ARL index record at byte {position}"
                raise damaged(path, what, error, "an INDX record as the first of each time") from error
            length = Header.N_BYTES + index.nx * index.ny
            begin, records = position, {}
            position += count * length
            for level in index.levels:
                for name, info in level.variables:
                    records[level.level, name] = (position, info.checksum)
                    position += length
            if position > size:
                raise damaged(path, f"truncated in the data of {time}", f"{size} bytes", f"at least {position} bytes")
            steps.append(Step(path, index, time, records, (begin, position)))
    if not steps:
        raise damaged(path, "the ARL file is empty", "0 bytes", "index and data records")
    return steps


def _index(handle: BinaryIO, position: int) -> tuple[IndexRecord, int]:
    """The index at a byte position, joined from all its INDX records, and their number; ValueError if it is none."""
    handle.seek(position)
    head, fixed = handle.read(Header.N_BYTES), handle.read(IndexRecord.N_BYTES_FIXED)
    thousands = Header.from_bytes(head).grid
    size = (thousands[0] + int(fixed[93:96])) * (thousands[1] + int(fixed[96:99]))
    length = int(fixed[104:108])
    if size < IndexRecord.N_BYTES_FIXED or length < IndexRecord.N_BYTES_FIXED:
        raise ValueError(f"grid of {size} points, index of {length} bytes")
    text, count = b"", -(-length // size)
    for i in range(count):
        handle.seek(position + i * (Header.N_BYTES + size))
        name = Header.from_bytes(handle.read(Header.N_BYTES)).variable
        if name != "INDX":
            raise ValueError(f"record {name!r} in the place of index record {i + 1} of {count}")
        text += handle.read(size)
    return IndexRecord.from_position(io.BytesIO(head + text[:length]), 0), count


def read_field(
    steps: Sequence[Step], level: int, name: str, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A variable on one level at several times.

    Args:
        steps: the times.
        level: index of the level, 0 the surface.
        name: four letters.
        rows, columns: the points to keep.

    Returns:
        values (nt, ny, nx) in the unit of the file, and (nt,) forecast hours of the records.

    Raises:
        TanhengError: a record that is missing, flagged missing, misplaced or whose checksum is wrong.
    """
    values, hours = np.empty((len(steps), len(rows), len(columns))), np.empty(len(steps), dtype=int)
    handles: dict[Path, BinaryIO] = {}
    try:
        for i, step in enumerate(steps):
            if step.path not in handles:
                handles[step.path] = step.path.open("rb")
            field, hours[i] = _record(handles[step.path], step, level, name)
            values[i] = field[rows][:, columns]
    finally:
        for handle in handles.values():
            handle.close()
    return values, hours


def _record(handle: BinaryIO, step: Step, level: int, name: str) -> tuple[np.ndarray, int]:
    """(ny, nx) values of one record and its forecast hour."""
    what, (nx, ny) = f"{name} at level {level}, {step.time}", (step.index.nx, step.index.ny)
    if (level, name) not in step.records:
        raise damaged(step.path, f"{what} is missing", "no record", "the fields of the first time at every time")
    position, checksum = step.records[level, name]
    handle.seek(position)
    raw = handle.read(Header.N_BYTES + nx * ny)
    try:
        header = Header.from_bytes(raw[: Header.N_BYTES])
        hour = header.time.to_datetime64()
    except ValueError as error:
        raise damaged(step.path, f"{what} has no header", error, "50 bytes of ASCII") from error
    packed = raw[Header.N_BYTES :]
    if header.forecast < 0 or header.variable == "NULL":
        raise damaged(step.path, f"{what} is flagged missing", f"forecast hour {header.forecast}", "≥ 0")
    found, expected = (
        f"{variable} at level {k}, {time.astype('datetime64[h]')}"
        for variable, k, time in ((header.variable, header.level, hour), (name, level, step.time))
    )
    if found != expected:
        raise damaged(step.path, f"a record is not where the index says, byte {position}", found, expected)
    # A stored checksum of 0 means that none was recorded.
    if checksum and calculate_checksum(packed) != checksum:
        raise damaged(step.path, f"{what} has a wrong checksum", calculate_checksum(packed), checksum)
    with np.errstate(over="ignore", invalid="ignore"):
        values = unpack(packed, nx, ny, header.precision, header.exponent, header.initial_value)
    if not np.isfinite(values).all():
        got = f"exponent {header.exponent}, first value {header.initial_value}"
        raise damaged(step.path, f"{what} cannot be unpacked", got, "finite values")
    return values, header.forecast
