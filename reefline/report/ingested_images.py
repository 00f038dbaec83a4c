"""The records that ingestion wrote about its images, as the pages read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reefline.data.image_record import ImageRecord, read_records
from reefline.errors import RecordError


def read_ingested(path: Path) -> Iterator[ImageRecord]:
    """Yield the records of a run's records.jsonl.

    Raises:
        RecordError: it cannot be read, or a line is damaged.
    """
    try:
        yield from read_records(path)
    except OSError as error:
        raise RecordError(f"{path}: cannot read it ({error.strerror})") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RecordError(f"{path}: damaged ({type(error).__name__}: {error}); run the pipeline again") from error
