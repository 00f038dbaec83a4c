"""The table of bad inputs: those that are read in this process, and those of the real commands."""

from __future__ import annotations

from tests.bad_input import cases_data, cases_files
from tests.bad_input.judging import Case

CASES: tuple[Case, ...] = (*cases_data.CASES, *cases_files.CASES)
PROCESS_CASES: tuple[Case, ...] = cases_files.PROCESS_CASES
