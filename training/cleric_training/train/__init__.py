"""Training: images, the start, the objective, the optimiser and the run itself."""
