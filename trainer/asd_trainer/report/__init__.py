"""Report of runs: one page for people who decide whether to trust a bundle."""

from asd_trainer.report.write import write_report

__all__ = ["write_report"]
