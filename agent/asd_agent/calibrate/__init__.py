"""Fitting scorers to observations of normal sound; one copy for the trainer and for calibration on the box.

scikit-learn is imported here alone, when something is fitted.
"""

from asd_agent.calibrate.condition import DomainData, calibrate_source, calibrate_target
from asd_agent.calibrate.density import DensitySettings

__all__ = ["DensitySettings", "DomainData", "calibrate_source", "calibrate_target"]
