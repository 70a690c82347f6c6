"""Log-mel spectrograms, spectra and condition indicators."""
