"""From a location to its storage."""

from __future__ import annotations

import os
from typing import Union

from reefline.storage.interface import Storage
from reefline.storage.location import Location
from reefline.system.extras import Extra, require_extra


def open_storage(place: Union[str, os.PathLike[str], Location]) -> Storage:
    """Return the storage of a folder, which does not have to exist; nothing is read yet.

    Raises:
        StorageError: the URI is malformed, or the environment lacks what its store needs.
        MissingExtraError: the extra `storage` is not installed.
    """
    location = Location.parse(place)
    if location.is_remote:
        require_extra(Extra.STORAGE, str(location))
        from reefline.storage.object_storage import ObjectStorage

        return ObjectStorage(location)
    from reefline.storage.local_storage import LocalStorage

    return LocalStorage(location)
