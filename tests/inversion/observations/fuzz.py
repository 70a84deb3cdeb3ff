"""Damaged files for readers: each must end in a clear error or in the right numbers.

A mutation says what a reader that accepts the file must give: SAME, the rows of the whole file that are left, number by
number; ANY, whatever is finite (bytes of the data themselves were changed, which nothing in the file could tell).
"""

import io
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from inversion.observations import Observations
from transport.errors import TanhengError

SAME, ANY = "same", "any"
Mutation = Callable[[np.random.Generator, Path], str]
Reader = Callable[[Path], Observations]


def fuzz(read: Reader, original: Path, mutations: Sequence[Mutation], count: int, folder: Path, seed: int = 0) -> dict:
    """Read `count` mutated files; returns how many were refused, read the same, and read with changed data.

    Raises:
        AssertionError: names the mutation and its seed: an exception other than TanhengError, an error without
            remedy, or another number than the whole file has.
    """
    whole, tally = read(original), {"refused": 0, "same": 0, "changed": 0}
    file = folder / original.name
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        mutation = mutations[i % len(mutations)]
        shutil.copyfile(original, file)
        expected = mutation(rng, file)
        about = f"{getattr(mutation, '__name__', mutation)}, mutation {i} of seed {seed}, {original.name}"
        refusal = TanhengError("")
        try:
            got = read(file)
        except TanhengError as error:
            got, refusal = None, error
        except Exception as error:
            raise AssertionError(f"{about}: {type(error).__name__}: {error}") from error
        if got is None:
            assert refusal.what, f"{about}: an error without a word"
            assert refusal.remedy, f"{about}: an error without remedy: {refusal}"
            tally["refused"] += 1
            continue
        difference = None if expected == ANY else unlike(got, whole)
        assert difference is None, f"{about}: {difference}"
        tally["same" if unlike(got, whole) is None else "changed"] += 1
    return tally


def unlike(got: Observations, whole: Observations) -> str | None:
    """What differs between the rows that were read and the same rows of the whole file; None if nothing does."""
    if (got.species, got.unit) != (whole.species, whole.unit):
        return f"{got.species} in {got.unit} instead of {whole.species} in {whole.unit}"
    keys = _keys(whole)
    place = {key: i for i, key in reversed(list(enumerate(keys)))}
    rows = [place.get(key) for key in _keys(got)]
    if None in rows:
        return f"a row that the whole file has not: {_keys(got)[rows.index(None)]}"
    own = whole.take(np.array(rows))
    pairs = {name: (getattr(got, name), getattr(own, name)) for name in ("lon", "lat", "height", "scales", "kinds")}
    pairs["sigma"] = got.sigma, own.sigma
    if own.vertical is not None:
        if got.vertical is None:
            return "the kernels are gone"
        pairs |= {
            name: (getattr(got.vertical, name), getattr(own.vertical, name))
            for name in ("pressure", "layered", "weights", "kernel", "prior", "prior_value")
        }
    for name, (a, b) in pairs.items():
        if a.shape != b.shape:
            return f"{name} has shape {a.shape} instead of {b.shape}"
        # What is missing in the mutated file may be NaN; what is a number must be the right one.
        good = (a == b) if a.dtype.kind != "f" else np.isnan(a) | np.isclose(a, b, rtol=1e-9, atol=0.0, equal_nan=True)
        if not good.all():
            where = np.argwhere(~good)[0]
            return f"{name}{list(where)} is {a[tuple(where)]} instead of {b[tuple(where)]}"
    return None


def _keys(o: Observations) -> list[tuple]:
    return [
        (s, e, g, f"{v:.9g}")
        for s, e, g, v in zip(o.start.tolist(), o.end.tolist(), o.groups.tolist(), o.values.tolist(), strict=True)
    ]


# --- any file ---------------------------------------------------------------------------------------------------------
def truncated(rng: np.random.Generator, file: Path) -> str:
    """Cut off at any byte."""
    data = file.read_bytes()
    file.write_bytes(data[: rng.integers(0, len(data))])
    return ANY if file.suffix not in (".nc", ".nc4") else SAME


def empty(rng: np.random.Generator, file: Path) -> str:
    """No byte, a blank, or bytes of another format."""
    file.write_bytes([b"", b"\n", b"PK\x03\x04" + bytes(200), b"\x89HDF\r\n\x1a\n", b"CDF\x01"][rng.integers(5)])
    return SAME


def flipped(rng: np.random.Generator, file: Path) -> str:
    """Some bytes changed anywhere."""
    data = bytearray(file.read_bytes())
    for at in rng.integers(0, len(data), rng.integers(1, 20)):
        data[at] = rng.integers(256)
    file.write_bytes(bytes(data))
    return ANY


# --- HDF5 -------------------------------------------------------------------------------------------------------------
def _data(h: h5py.File, name: str) -> Any:
    return h[name]


def _datasets(h: h5py.File) -> list[str]:
    names: list[str] = []
    h.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


def _some(rng: np.random.Generator, h: h5py.File, fits: Callable[[Any], bool] = lambda d: True) -> str | None:
    names = [n for n in _datasets(h) if fits(_data(h, n))]
    return names[rng.integers(len(names))] if names else None


def _is_number(d: Any) -> bool:
    return d.dtype.kind in "iuf" and d.size > 0


def without_variable(rng: np.random.Generator, file: Path) -> str:
    """One variable is missing."""
    with h5py.File(file, "a") as h:
        del h[_some(rng, h) or ""]
    return SAME


def renamed(rng: np.random.Generator, file: Path) -> str:
    """One variable has another name."""
    with h5py.File(file, "a") as h:
        name = _some(rng, h) or ""
        h.move(name, f"{name}_x")
    return SAME


def without_attribute(rng: np.random.Generator, file: Path) -> str:
    """One variable, or the file, lost an attribute that is not a dimension scale's."""
    with h5py.File(file, "a") as h:
        items = [h, *(_data(h, n) for n in _datasets(h))]
        pairs = [
            (i, k) for i in items for k in i.attrs if k.isidentifier() and k not in _SCALES and not k.startswith("_N")
        ]
        if pairs:
            item, key = pairs[rng.integers(len(pairs))]
            del item.attrs[key]
    return ANY  # e.g. _FillValue: fills then count as values


_SCALES = ("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "DIMENSION_LABELS", "_FillValue", "scale_factor",
           "add_offset", "missing_value")  # fmt: skip


def wrong_unit(rng: np.random.Generator, file: Path) -> str:
    """A unit that is none of the field's."""
    with h5py.File(file, "a") as h:
        name = _some(rng, h, lambda d: "units" in d.attrs)
        if name is not None:
            _data(h, name).attrs["units"] = ["furlong", "kg", "", "hours since 1583-01-01", "mmol mol-2"][
                rng.integers(5)
            ]
    return SAME


def not_a_number(rng: np.random.Generator, file: Path) -> str:
    """Some values of one variable are NaN or infinite."""
    with h5py.File(file, "a") as h:
        name = _some(rng, h, lambda d: d.dtype.kind == "f" and d.size > 0)
        if name is not None:
            values = _data(h, name)[...]
            at = rng.random(np.shape(values)) < rng.choice([0.02, 0.5, 1.0])
            _data(h, name)[...] = np.where(at, rng.choice([np.nan, np.inf, -np.inf]), values)
    return SAME


def absurd(rng: np.random.Generator, file: Path) -> str:
    """Some values of one variable are huge, negative or zero; no file could tell all of these from data."""
    with h5py.File(file, "a") as h:
        name = _some(rng, h, _is_number)
        if name is not None:
            values = _data(h, name)[...]
            limit = np.iinfo(values.dtype) if values.dtype.kind in "iu" else np.finfo("f4")
            at = rng.random(np.shape(values)) < rng.choice([0.05, 1.0])
            _data(h, name)[...] = np.where(at, [limit.max, limit.min, 0][rng.integers(3)], values).astype(values.dtype)
    return ANY


def other_type(rng: np.random.Generator, file: Path) -> str:
    """One variable holds text."""
    with h5py.File(file, "a") as h:
        name = _some(rng, h, _is_number)
        if name is not None:
            shape, attributes = _data(h, name).shape, {k: v for k, v in _data(h, name).attrs.items() if k == "units"}
            del h[name]
            h.create_dataset(name, data=np.full(shape, b"abc"))
            for k, v in attributes.items():
                _data(h, name).attrs[k] = v
    return SAME


def other_shape(rng: np.random.Generator, file: Path) -> str:
    """One variable is cut, turned or has one dimension more; its dimension scales are gone with it."""
    with h5py.File(file, "a") as h:
        name = _some(rng, h, lambda d: d.ndim > 0 and d.size > 1)
        if name is not None:
            values = _data(h, name)[...]
            change = [lambda a: a[:-1], lambda a: a.T, lambda a: a[None], lambda a: a[:0], lambda a: a.ravel()[0]]
            del h[name]
            h.create_dataset(name, data=change[rng.integers(len(change))](values))
    return SAME


def levels_turned(*names: str) -> Mutation:
    """The last axis of one of these variables runs the other way while the others do not."""

    def turned(rng: np.random.Generator, file: Path) -> str:
        with h5py.File(file, "a") as h:
            name = names[rng.integers(len(names))]
            values = _data(h, name)[...]
            _data(h, name)[...] = (
                values[..., ::-1] if rng.random() < 0.5 else values[..., rng.permutation(values.shape[-1])]
            )
        return SAME

    return turned


HDF = (
    truncated, empty, flipped, without_variable, renamed, without_attribute, wrong_unit, not_a_number, absurd,
    other_type, other_shape,
)  # fmt: skip


# --- text -------------------------------------------------------------------------------------------------------------
def _rewrite(file: Path, change: Callable[[list[str]], list[str]]) -> None:
    text = file.read_text("utf-8", "replace")
    file.write_text("\n".join(change(text.splitlines())) + "\n", "utf-8")


def without_line(rng: np.random.Generator, file: Path) -> str:
    """One line is missing, header or data."""
    _rewrite(
        file,
        lambda lines: [x for i, x in enumerate(lines) if i != at] if (at := rng.integers(len(lines))) + 1 else lines,
    )
    return SAME


def line_twice(rng: np.random.Generator, file: Path) -> str:
    """One line stands twice."""
    at = rng.integers(len(file.read_text("utf-8", "replace").splitlines()))
    _rewrite(file, lambda lines: [*lines[: at + 1], *lines[at:]])
    return SAME


def shuffled_lines(rng: np.random.Generator, file: Path) -> str:
    """Two lines changed places."""

    def change(lines: list[str]) -> list[str]:
        i, j = rng.integers(len(lines), size=2)
        lines[i], lines[j] = lines[j], lines[i]
        return lines

    _rewrite(file, change)
    return SAME


def spoilt_word(rng: np.random.Generator, file: Path) -> str:
    """One word of one line is something else: text, nothing, a number out of all range, NaN."""

    def change(lines: list[str]) -> list[str]:
        i = rng.integers(len(lines))
        words = lines[i].split(";") if ";" in lines[i] else lines[i].split(",") if "," in lines[i] else lines[i].split()
        if words:
            words[rng.integers(len(words))] = ["abc", "", "nan", "1e400", "-1e9", "Ω", "99999999999999999999"][
                rng.integers(7)
            ]
        lines[i] = (";" if ";" in lines[i] else "," if "," in lines[i] else " ").join(words)
        return lines

    _rewrite(file, change)
    return ANY


def without_column(separator: str | None) -> Mutation:
    """One column of all data lines and of the line of names is missing, or two have changed places under old names."""

    def missing(rng: np.random.Generator, file: Path) -> str:
        lines = file.read_text("utf-8", "replace").splitlines()
        width = max(len(x.split(separator)) for x in lines[-3:])
        at = rng.integers(width)
        glue = separator or " "

        def cut(line: str) -> str:
            words = line.split(separator)
            return glue.join(w for k, w in enumerate(words) if k != at) if len(words) >= width else line

        file.write_text("\n".join(map(cut, lines)) + "\n", "utf-8")
        return SAME

    return missing


def other_separator(rng: np.random.Generator, file: Path) -> str:
    """Semicolons for commas, tabs for blanks."""
    text = file.read_text("utf-8", "replace")
    a, b = [(",", ";"), (";", ","), (" ", "\t"), (",", "\t"), (".", ",")][rng.integers(5)]
    file.write_text(text.replace(a, b), "utf-8")
    return SAME


TEXT = (truncated, empty, flipped, without_line, line_twice, shuffled_lines, spoilt_word, other_separator)


def small(dataset, path: Path) -> Path:
    """Write an xarray dataset as a NetCDF-4 file as small as it gets, for mutation."""
    buffer = io.BytesIO()
    dataset.to_netcdf(buffer, engine="h5netcdf")
    path.write_bytes(buffer.getvalue())
    return path
