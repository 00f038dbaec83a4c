"""What TFX's ExampleValidator found, as Reefline's records."""

from __future__ import annotations

from pathlib import Path

from reefline.data.reports import Anomaly
from reefline.data.split_files import find_split_files
from reefline.errors import RecordError


def read_anomalies(folder: Path) -> tuple[Anomaly, ...]:
    """Return the anomalies in ExampleValidator's folder, in the order of splits and features.

    Raises:
        RecordError: the folder holds no verdict on any split, or a damaged one.
    """
    from google.protobuf.message import DecodeError
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    found = []
    for split, path in find_split_files(folder, "SchemaDiff.pb").items():
        try:
            message = anomalies_pb2.Anomalies.FromString(path.read_bytes())
        except OSError as error:
            raise RecordError(f"{path}: cannot read it ({error.strerror})") from error
        except DecodeError as error:
            raise RecordError(f"{path}: damaged ({error}); run the pipeline again") from error
        if message.data_missing:
            found.append(Anomaly(split, "", "the split holds no examples"))
        data_set = [("", message.dataset_anomaly_info)] if message.HasField("dataset_anomaly_info") else []
        for feature, info in [*data_set, *sorted(message.anomaly_info.items())]:
            found.append(Anomaly(split, feature, info.description or info.short_description))
    return tuple(found)
