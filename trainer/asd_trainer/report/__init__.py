"""One page that says how runs fared: for people who have to decide whether to trust a bundle."""

from asd_trainer.report.write import write_report

__all__ = ["write_report"]
