"""`reefline dedupe`."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from reefline.commands.options import JsonOption, WorkersOption
from reefline.commands.usage_errors import advise_after_ctrl_c
from reefline.errors import DataError, UsageError
from reefline.system.terminal import ProgressBar, say, say_json

if TYPE_CHECKING:
    from reefline.curation.duplicates import DedupeRequest, DuplicateSearch

_PROGRESS_EVERY_S = 5.0
_ADVICE = "run the same command again"


def dedupe(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a folder of images, in any layout")],
    against: Annotated[
        Optional[Path],
        typer.Option(metavar="DIR2", help="move the images of DIR that DIR2 has too, and change nothing in DIR2"),
    ] = None,
    max_bits: Annotated[
        int, typer.Option(metavar="N", min=0, max=16, help="how many of 64 bits near duplicates may differ in")
    ] = 8,
    rotations: Annotated[
        bool, typer.Option("--rotations", help="copies turned by 90, 180 or 270 degrees, too")
    ] = False,
    flips: Annotated[bool, typer.Option("--flips", help="mirrored copies, too")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the duplicates and move nothing")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="bring back what earlier calls moved")] = False,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move exact and near duplicates to DIR/duplicates; nothing is deleted."""
    from reefline.curation.duplicates import DedupeRequest
    from reefline.data.rules.severity import describe_finding
    from reefline.images.look_alikes import Turns
    from reefline.system.cores import count_cores

    if undo:
        if against is not None or dry_run:
            raise UsageError("--undo brings back everything: pass it alone")
        _undo(folder, as_json=as_json)
        return
    request = DedupeRequest(folder, against, Turns(rotations, flips), max_bits, workers or count_cores())
    with advise_after_ctrl_c("run the same command to finish, or pass --undo to bring everything back"):
        if dry_run:
            search, total = _search(request, quiet=as_json), 0
        else:
            search, total = _search_and_move(request, quiet=as_json)
    if as_json:
        say_json(_to_json(search) | {"is_dry_run": dry_run})
        return
    for unreadable in search.unreadable:
        say(f"unreadable, left where it is: {unreadable.image}: {unreadable.problem}")
    for finding in search.findings:
        say(f"left out: {describe_finding(finding)}")
    if dry_run:
        _print_duplicates(search)
    else:
        _print_moves(folder, search, total)


def _search(request: DedupeRequest, *, quiet: bool) -> DuplicateSearch:
    from reefline.curation.duplicates import find_duplicates
    from reefline.curation.duplicates_folder import check_duplicates_folder

    check_duplicates_folder(request.folder)
    with ProgressBar(plain_line_every_s=_PROGRESS_EVERY_S, quiet=quiet) as bar:
        return find_duplicates(
            request,
            lambda done, total: bar.show(done, total, f"{done:,} of {total:,} images compared", now=done == total),
        )


def _print_duplicates(search: DuplicateSearch) -> None:
    from reefline.curation.duplicates_report import describe_likeness

    for duplicate in search.duplicates:
        likeness = describe_likeness(duplicate.bits)
        say(f"{duplicate.moved.image}: {likeness} of {duplicate.kept.image}{_warn_of_labels(duplicate.labels_differ)}")
    say(f"{_summarize(search)}; nothing was moved (--dry-run)")


def _warn_of_labels(labels_differ: bool) -> str:
    return " (their labels differ)" if labels_differ else ""


def _search_and_move(request: DedupeRequest, *, quiet: bool) -> tuple[DuplicateSearch, int]:
    """Move the duplicates; return them and how many `duplicates/` has, those of earlier calls included."""
    from reefline.curation.output_folder import explain_write_errors
    from reefline.system.lock_file import hold_folder

    with contextlib.ExitStack() as held:
        # The search reports a missing folder.
        if request.folder.is_dir():
            with explain_write_errors(request.folder, advice=_ADVICE):
                # From the search on: moves by another command would make its result wrong.
                held.enter_context(hold_folder(request.folder))
        search = _search(request, quiet=quiet)
        return search, _move(request.folder, search)


def _move(folder: Path, search: DuplicateSearch) -> int:
    from reefline.curation.duplicates_folder import FOLDER, move_duplicates, shorten_split_lists
    from reefline.curation.duplicates_report import write_duplicates_report
    from reefline.curation.output_folder import explain_write_errors

    with explain_write_errors(folder / FOLDER, advice=_ADVICE):
        move_duplicates(folder, search.duplicates)
        # Also after a call that was stopped before it came to this.
        shorten_split_lists(folder)
        return write_duplicates_report(folder)


def _print_moves(folder: Path, search: DuplicateSearch, total: int) -> None:
    from reefline.curation.duplicates_folder import CSV_FILE, FOLDER, PAGE_FILE

    place = folder / FOLDER
    say(_summarize(search) + (f"; moved to {place}" if search.duplicates else ""))
    conflicts = sum(duplicate.labels_differ for duplicate in search.duplicates)
    if conflicts:
        say(f"warning: {conflicts} were in the folder of another label than the image that stays: see {PAGE_FILE}")
    if total:
        say(f"{place / PAGE_FILE} shows them, {place / CSV_FILE} lists them; --undo brings them back")


def _to_json(search: DuplicateSearch) -> dict[str, Any]:
    return {
        "images": search.images,
        "duplicates": [
            {"image": each.moved.image, "kept": each.kept.image, "bits": each.bits, "labels_differ": each.labels_differ}
            for each in search.duplicates
        ],
        "unreadable": [{"image": each.image, "problem": each.problem} for each in search.unreadable],
        "left_out": [dataclasses.asdict(finding) for finding in search.findings],
    }


def _summarize(search: DuplicateSearch) -> str:
    near = sum(duplicate.bits is not None for duplicate in search.duplicates)
    exact = len(search.duplicates) - near
    unreadable = f", {len(search.unreadable)} unreadable" if search.unreadable else ""
    return f"{search.images:,} images: {exact:,} exact copies, {near:,} near duplicates{unreadable}"


def _undo(folder: Path, *, as_json: bool) -> None:
    from reefline.curation.duplicates_folder import undo_moves
    from reefline.curation.output_folder import explain_write_errors

    with explain_write_errors(folder, advice=_ADVICE):
        result = undo_moves(folder)
    if as_json:
        say_json({"restored": result.restored, "problems": list(result.problems)})
    else:
        say(f"{result.restored:,} images are back where they were")
    if result.problems:
        raise DataError(*result.problems)
