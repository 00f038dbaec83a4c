"""What is wrong with an image that cannot be used."""

from __future__ import annotations


class ImageProblemError(Exception):
    """An image that cannot be used; `rule` is the name of the rule it breaks."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule
