"""Memory as the system reports it."""

from __future__ import annotations

from reefline.system.memory import parse_memory_table, read_available_bytes, read_peak_resident_bytes


def test_both_kinds_of_table_are_read() -> None:
    assert parse_memory_table("MemTotal:   10 kB\nMemAvailable:    7 kB\n")["MemAvailable"] == 7
    assert parse_memory_table("anon 5\ninactive_file 9\n")["inactive_file"] == 9


def test_this_process_has_memory_and_can_have_more() -> None:
    assert read_peak_resident_bytes() > 10**7
    available = read_available_bytes()
    assert available is None or available > 10**7
