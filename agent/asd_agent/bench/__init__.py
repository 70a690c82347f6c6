"""Speed of a bundle on this box: each stage of a window, and the number of monitors that the box carries."""

from asd_agent.bench.capacity import Capacity, capacity
from asd_agent.bench.stages import StageTimes, window_stages
from asd_agent.bench.timing import Effort, Times, measure, measure_pairs

__all__ = ["Capacity", "Effort", "StageTimes", "Times", "capacity", "measure", "measure_pairs", "window_stages"]
