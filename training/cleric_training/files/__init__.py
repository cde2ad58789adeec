"""What lies on disk: safetensors, model files, checkpoints, and what makes one of the other."""
