"""Training: images, the start, the objective, the optimiser and the run itself."""
import time

BEGAN = time.monotonic()  # before PyTorch is loaded, which takes seconds: --from-start counts from here
