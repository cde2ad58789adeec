"""CLERIC in PyTorch: the network, its training, and the export of model files and golden vectors."""
