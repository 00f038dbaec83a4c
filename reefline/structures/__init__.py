"""What everything else speaks of: boxes, annotations, detections, label maps, artifact folders."""
