"""Data sets: official layouts, own recordings and the machine simulator."""
