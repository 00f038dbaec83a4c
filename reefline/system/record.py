"""Records on disk: frozen dataclasses that pydantic reads from JSON and writes to it."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reefline.errors import RecordError
from reefline.system.files import write_whole

if TYPE_CHECKING:
    import pydantic
    from typing_extensions import Self


class Record:
    """The base of dataclasses that are stored as JSON.

    A field's annotation is its format: nested records, enums by value, tuples and mappings, `| None` for null. If a
    field has another name in JSON, annotate it as `Annotated[float, pydantic.Field(alias="mAP")]`. A subclass whose
    JSON has another shape overrides `to_json` and `from_json`, and inherits `read` and `write`.

    pydantic is imported at the first use: worker processes import records and start faster without it.
    """

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON's types."""
        kind: Any = type(self)
        dumped: dict[str, Any] = _adapter(kind).dump_python(self, mode="json", by_alias=True)
        return dumped

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_json` returned.

        Raises:
            pydantic.ValidationError: a field is missing or of another type. It is a ValueError.
        """
        kind: Any = cls
        read: Self = _adapter(kind).validate_python(record, by_alias=True, by_name=False)
        return read

    def write(self, path: Path) -> None:
        """Write the record as a JSON file, completely or not at all.

        Raises:
            OSError: the file cannot be written.
            ValueError: the record holds NaN or infinity, which JSON does not have.
        """
        write_whole(path, json.dumps(self.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read back what `write` wrote.

        Raises:
            RecordError: the file is missing or damaged; one problem per field, each with the file and the field.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise RecordError(f"{path}: cannot read it ({error.strerror})") from error
        return cls.parse(content, path)

    @classmethod
    def parse(cls, content: bytes, source: object) -> Self:
        """Read back the content of a file that `write` wrote; `source` is where it is, for messages.

        Raises:
            RecordError: it is damaged; one problem per field, each with the source and the field.
        """
        try:
            return cls.from_json(json.loads(content.decode("utf-8")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordError(*(f"{source}: {problem}" for problem in describe_damage(error))) from error


@functools.cache
def _adapter(kind: Any) -> pydantic.TypeAdapter[Any]:
    import pydantic

    return pydantic.TypeAdapter(kind)


def describe_damage(error: Exception) -> tuple[str, ...]:
    """Return what `from_json` found wrong: one problem per field, each with the field's dotted name."""
    import pydantic

    if not isinstance(error, pydantic.ValidationError):
        return (f"damaged ({type(error).__name__}: {error})",)
    return tuple(
        f"{'.'.join(map(str, problem['loc'])) or 'top level'}: damaged ({problem['msg']})" for problem in error.errors()
    )
