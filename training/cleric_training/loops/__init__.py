"""Loops in C with their Python sides."""
