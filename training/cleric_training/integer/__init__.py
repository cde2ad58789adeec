"""The integer entropy model: its arithmetic, its graph, and the way from floats to integers and back."""
