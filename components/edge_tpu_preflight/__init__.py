"""EdgeTpuPreflight: where the model's operators will run, before it is trained."""
