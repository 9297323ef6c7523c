"""Exercises: questions from a seed with steps and a key, and lessons."""
