"""The output of TFX's ExampleValidator as Reefline's records."""

from __future__ import annotations

from pathlib import Path

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact

from reefline.data.reports import Anomaly

_FILE = "SchemaDiff.pb"


def read_anomalies(artifact: Artifact) -> tuple[Anomaly, ...]:
    """Return the anomalies of all splits of an ExampleAnomalies artifact, in the order of splits and features."""
    found = []
    for split in artifact_utils.decode_split_names(artifact.split_names):
        content = (Path(artifact_utils.get_split_uri([artifact], split)) / _FILE).read_bytes()
        message = anomalies_pb2.Anomalies.FromString(content)
        if message.data_missing:
            found.append(Anomaly(split, "", "the split holds no examples"))
        data_set = [("", message.dataset_anomaly_info)] if message.HasField("dataset_anomaly_info") else []
        for feature, info in [*data_set, *sorted(message.anomaly_info.items())]:
            found.append(Anomaly(split, feature, info.description or info.short_description))
    return tuple(found)
