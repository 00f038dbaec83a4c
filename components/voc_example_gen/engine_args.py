"""Who ingests, as options of Beam: TFX hands those to an executor outside of the exec properties that key the cache."""

from __future__ import annotations

from collections.abc import Sequence

from reefline.beam_options import BeamOptions

_WORKERS = "reefline_workers"


def format_engine_args(workers: int | None, beam_args: Sequence[str]) -> list[str]:
    """Return `data.beam_args`; without any, `data.workers` as an option, which Beam never sees."""
    if beam_args or workers is None:
        return list(beam_args)
    return [f"--{_WORKERS}={workers}"]


def parse_engine_args(arguments: Sequence[str]) -> tuple[int | None, BeamOptions]:
    """Return the number of workers and the options of Beam from what `format_engine_args` returned."""
    workers = BeamOptions(tuple(arguments)).find(_WORKERS)
    for_beam = tuple(argument for argument in arguments if not argument.startswith(f"--{_WORKERS}="))
    return (int(workers) if workers else None), BeamOptions(for_beam)
