"""Which starts of a training are known when a package is compiled."""

from __future__ import annotations

from typing import Optional

from reefline.od_api.model_config import load_template
from reefline.settings import StartKeyword, TrainerSettings
from reefline.training.start_files import is_web_url
from reefline.training.start_identity import StartIdentity


def know_start(settings: TrainerSettings) -> Optional[str]:
    """Return the identity of a start whose content is pinned; None where a task of the run has to resolve it."""
    start = settings.start
    if start.is_new_weights:
        return str(StartIdentity())
    published = load_template(settings.model).published
    if start.keyword is StartKeyword.PUBLISHED and published is not None:
        return str(StartIdentity(sha256=published.sha256))
    if is_web_url(start.source) and start.sha256 is not None:
        return str(StartIdentity(sha256=start.sha256))
    return None
