"""Tests, as a regular package: as a namespace package, any `tests` package installed anywhere would replace it."""
