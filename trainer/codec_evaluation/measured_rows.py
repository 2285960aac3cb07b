"""Measured rows in a CSV file that grows with the work, so that an interrupted one goes on."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_type_hints

from trainer.errors import RunFolderError
from trainer.run_folder import write_atomically


class Row(Protocol):
    """A frozen dataclass of texts, whole numbers and floats."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def key(self) -> Hashable:
        """What was measured, as opposed to what came out."""


R = TypeVar("R", bound=Row)


class MeasuredRows(Generic[R]):
    """The rows of a file, by their key.

    Parameters
    ----------
    path
        The file; it need not be there. A last line that was cut off is dropped.
    kind
        Class of the rows; its fields are the columns.

    Raises
    ------
    RunFolderError
        If the file cannot be read or holds something else.
    """

    def __init__(self, path: Path, kind: type[R]) -> None:
        self.path = path
        self._columns = tuple(field.name for field in dataclasses.fields(kind))
        self._rows: dict[Hashable, R] = {}
        try:
            # newline="" keeps the text as it is: the place of the last line's end counts.
            with path.open(newline="", encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            write_atomically(path, self._header().encode())
            return
        except (OSError, UnicodeDecodeError) as error:
            raise RunFolderError(f"{path} cannot be read: {error}") from error
        whole = text[: text.rfind("\n") + 1]
        for row in self._parse(whole, kind):
            self._rows[row.key] = row
        if whole != text:
            write_atomically(path, whole.encode())

    def __contains__(self, key: Hashable) -> bool:
        return key in self._rows

    def __getitem__(self, key: Hashable) -> R:
        return self._rows[key]

    def add(self, rows: Sequence[R]) -> None:
        """Take rows and append them to the file.

        Raises
        ------
        RunFolderError
            If it cannot be written.
        """
        for row in rows:
            self._rows[row.key] = row
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                file.write(self._text(rows))
        except OSError as error:
            raise RunFolderError(f"cannot write {self.path}: {error.strerror}") from error

    def finish(self, keys: Iterable[Hashable]) -> list[R]:
        """Put the rows of these keys first, in this order, and the file's other rows after them.

        Returns
        -------
        list
            The rows of the keys.
        """
        chosen = dict.fromkeys(keys)
        first = [self._rows[key] for key in chosen]
        others = [row for key, row in self._rows.items() if key not in chosen]
        text = self._header() + self._text([*first, *others])
        write_atomically(self.path, text.encode())
        return first

    def _header(self) -> str:
        return ",".join(self._columns) + "\n"

    def _text(self, rows: Sequence[R]) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([getattr(row, name) for name in self._columns] for row in rows)
        return text.getvalue()

    def _parse(self, text: str, kind: type[R]) -> list[R]:
        types = get_type_hints(kind)
        read: dict[str, Callable[[str], Any]] = {n: types[n] for n in self._columns}
        try:
            lines = list(csv.reader(io.StringIO(text, newline="")))
            if not lines or tuple(lines[0]) != self._columns:
                raise ValueError("its columns are others")
            rows = [
                kind(**{n: read[n](v) for n, v in zip(self._columns, line, strict=True)})
                for line in lines[1:]
            ]
            for row in rows:
                if any(isinstance(v, float) and math.isnan(v) for v in dataclasses.astuple(row)):
                    raise ValueError("a value is no number")
        except (ValueError, csv.Error) as error:
            raise RunFolderError(
                f"{self.path} is no table of this command ({error}): remove it, or choose another "
                "folder with --out"
            ) from error
        return rows
