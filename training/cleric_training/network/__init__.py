"""The network as PyTorch trains it: transforms, entropy model, presets."""
