"""Step loop: shares of groups, schedules across a resumption, and checkpoints of the first version."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from asd_trainer.engine.checkpoint import Checkpoints, read_checkpoint
from asd_trainer.engine.interruption import SIGNALS, exit_on_signals
from asd_trainer.engine.loop import TrainingSchedule, TrainingTask, train_steps
from asd_trainer.engine.metrics_file import MetricsLog
from asd_trainer.engine.randomness import BatchSampler, TrainingRandomness, own_randomness
from asd_trainer.engine.schedule import MakeScheduler, constant, one_cycle, warmup

CLIPS, STEPS = 12, 20
CPU = torch.device("cpu")


class Stopped(BaseException):
    """Ends a training at a step, like a kill."""


def train(
    out: Path,
    scheduler: MakeScheduler,
    *,
    stop_at: int | None = None,
    groups: tuple[float, float] = (1.0, 1.0),
    each_step: Callable[[int], None] = lambda _: None,
    clock: Callable[[], float] = lambda: 0.0,
    checkpoint_every: int = 4,
) -> None:
    """Train a small network."""
    checkpoints = Checkpoints(out, "inputs")
    x = torch.randn(CLIPS, 4, generator=torch.Generator().manual_seed(0))

    def stop(step: int, *_: float) -> None:
        each_step(step)
        if step == stop_at:
            raise Stopped

    with own_randomness(CPU, deterministic=True):
        randomness = TrainingRandomness(3, CPU)
        model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 1))

        def losses(indices: np.ndarray) -> Tensor:
            rows = x[torch.from_numpy(indices)]
            return (model(rows)[:, 0] - rows.sum(1)).square()

        task = TrainingTask(
            model=model,
            clip_losses=losses,
            sampler=BatchSampler(CLIPS, 3, 3),
            randomness=randomness,
            names=[f"clip {i}" for i in range(CLIPS)],
            description={"kind": "line"},
            groups=[(list(model[0].parameters()), groups[0]), (list(model[2].parameters()), groups[1])],
        )
        schedule = TrainingSchedule(STEPS, 0.05, scheduler, betas=(0.9, 0.999))
        train_steps(
            task, schedule, checkpoints, folder=out, checkpoint_every=checkpoint_every, progress=stop, clock=clock
        )


def weights(out: Path) -> dict[str, Tensor]:
    return read_checkpoint(out / "final.pt")["model"]


SCHEDULERS = {"constant": constant(), "warmup": warmup(7), "one_cycle": one_cycle(STEPS)}


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("stop_at", [3, 8, 13])
def test_a_stopped_training_ends_with_the_weights_and_metrics_of_an_unbroken_one(tmp_path, name, stop_at):
    train(tmp_path / "whole", SCHEDULERS[name])
    with pytest.raises(Stopped):
        train(tmp_path / "broken", SCHEDULERS[name], stop_at=stop_at)
    train(tmp_path / "broken", SCHEDULERS[name])
    whole, broken = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert all(torch.equal(whole[k], broken[k]) for k in whole)
    assert (tmp_path / "broken/metrics.jsonl").read_bytes() == (tmp_path / "whole/metrics.jsonl").read_bytes()


@pytest.mark.parametrize("name", ["constant", "warmup"])
def test_a_checkpoint_without_the_state_of_a_scheduler_goes_on_at_its_step(tmp_path, name):
    """Version 0.1.0 kept no scheduler, a rate of its own in each group, and nothing else of the schedule."""
    train(tmp_path / "whole", SCHEDULERS[name])
    with pytest.raises(Stopped):
        train(tmp_path / "old", SCHEDULERS[name], stop_at=9)
    path = tmp_path / "old/checkpoint.pt"
    state = torch.load(path, weights_only=True)
    assert state["step"] == 8
    del state["scheduler"]
    for group in state["optimizer"]["param_groups"]:
        del group["initial_lr"]
        group["lr"] = 123.0
    torch.save(state, path)
    train(tmp_path / "old", SCHEDULERS[name])
    whole, old = weights(tmp_path / "whole"), weights(tmp_path / "old")
    assert all(torch.equal(whole[k], old[k]) for k in whole)


def test_the_logged_rate_is_the_whole_one_and_a_group_without_a_share_stays(tmp_path, monkeypatch):
    logged: list[float] = []
    monkeypatch.setattr(MetricsLog, "add", lambda _, __, **values: logged.append(values["learning_rate"]))
    train(tmp_path, warmup(10), groups=(0.5, 1e-12))
    assert logged[9] == pytest.approx(0.05)
    assert logged[0] == pytest.approx(0.005)
    final = weights(tmp_path)
    with own_randomness(CPU, deterministic=True):
        TrainingRandomness(3, CPU)
        start = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 1)).state_dict()
    torch.testing.assert_close(final["2.weight"], start["2.weight"], rtol=0, atol=1e-9)
    assert not torch.allclose(final["0.weight"], start["0.weight"], atol=1e-3)


@pytest.fixture
def handlers() -> Iterator[None]:
    """Signal handlers of a worker process; those of the test are restored."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    exit_on_signals()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_writes_a_checkpoint_of_the_very_step_and_ends_the_process(tmp_path, handlers, number, code):
    """The signal comes while step 6 is reported, and step 7 is the one that is finished."""
    train(tmp_path / "whole", one_cycle(STEPS))

    def send(step: int) -> None:
        if step == 6:
            os.kill(os.getpid(), number)

    with pytest.raises(SystemExit) as ended:
        train(tmp_path / "broken", one_cycle(STEPS), each_step=send, checkpoint_every=1000)
    assert ended.value.code == code
    assert read_checkpoint(tmp_path / "broken/checkpoint.pt")["step"] == 7
    train(tmp_path / "broken", one_cycle(STEPS), checkpoint_every=1000)
    whole, broken = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert all(torch.equal(whole[k], broken[k]) for k in whole)


def test_a_signal_outside_a_training_ends_the_process_at_once(handlers):
    with pytest.raises(SystemExit) as ended:
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 143


def test_a_checkpoint_is_written_after_half_a_minute_whatever_the_number_of_steps(tmp_path):
    now = 0.0

    def tick(step: int) -> None:
        nonlocal now
        now += 7.0

    with pytest.raises(Stopped):
        train(tmp_path, constant(), stop_at=13, each_step=tick, clock=lambda: now, checkpoint_every=1000)
    assert (
        read_checkpoint(tmp_path / "checkpoint.pt")["step"] == 11
    )  # 35 s have passed before step 6, and again before step 11
