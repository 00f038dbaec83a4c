"""EdgeTpuPreflight: where the model's operators will run, known before it is trained."""
