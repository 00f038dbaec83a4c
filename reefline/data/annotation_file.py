"""One annotation file of the data folder: read, or refused with a finding."""

from __future__ import annotations

from pathlib import Path

from reefline.findings import Action, Finding
from reefline.formats.voc import AnnotationSyntaxError, ForbiddenXmlError, parse_voc_annotation
from reefline.structures.annotation import Annotation
from reefline.system.files import read_file


def read_annotation(data_dir: Path, xml: str) -> Annotation | Finding:
    """Return the annotation, or the finding that explains why its image is left out."""
    try:
        annotation = parse_voc_annotation(read_file(data_dir, xml))
    except ForbiddenXmlError as error:
        return _refuse(xml, "xml_forbidden", str(error))
    except AnnotationSyntaxError as error:
        return _refuse(xml, "xml_unreadable", str(error))
    except OSError as error:
        return _refuse(xml, "xml_unreadable", f"cannot open the file ({error.strerror})")
    # A plain folder before the name is common, and harmless: only the name is used.
    if ".." in split_path(annotation.filename):
        message = f"<filename> {annotation.filename!r} points outside the data folder: write only the image's name"
        return _refuse(xml, "filename_unsafe", message)
    return annotation


def split_path(filename: str) -> tuple[str, ...]:
    """Return the parts of a <filename>, which may be a path of any operating system."""
    return tuple(part for part in filename.replace("\\", "/").split("/") if part)


def _refuse(xml: str, rule: str, message: str) -> Finding:
    return Finding(xml, None, rule, message, Action.DROPPED_IMAGE)
