"""Fitting scorers to outputs of normal sound; one copy for the trainer and for calibration on the box.

scikit-learn is imported here alone, when something is fitted.
"""

from asd_agent.calibrate.condition import DomainData, calibrate_source, calibrate_target
from asd_agent.calibrate.learnt import calibrate_bank
from asd_agent.calibrate.settings import DensitySettings

__all__ = ["DensitySettings", "DomainData", "calibrate_bank", "calibrate_source", "calibrate_target"]
