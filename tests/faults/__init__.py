"""Faults on purpose: killed runs, full disks, races, clocks, damaged workspaces; `python -m tests.faults.run`."""
