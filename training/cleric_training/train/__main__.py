"""`python3 -m cleric_training.train`: see trainer.py."""
from .trainer import main

if __name__ == "__main__":
    main()
