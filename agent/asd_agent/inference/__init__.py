"""From a window of sound to a score: observation, density, pooling, combination."""
