"""Features in torch, and augmentation of spectra and waveforms."""
