import sys
import threading

import pytest

from asd_agent.demo.screen import ScreenContent, render


@pytest.fixture
def often_switched():
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_picture_is_drawn_while_another_thread_goes_on_writing_it(often_switched):
    picture = ScreenContent("a fan", 60.0, score=1.0, threshold=2.0)
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            picture.scores.append((1.0, False))
            picture.events.append("raised")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            render(picture)
    finally:
        over.set()
        writer.join()
