"""Seeing it work: signs of life, progress, health, numbers and a diagnosis. Reads the rows; changes no mail's fate."""
