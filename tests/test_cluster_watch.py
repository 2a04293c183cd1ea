"""When a worker is told to start, and when it is replaced: made-up histories, no threads."""

import pytest

from streamderain.cluster.livewatch import Act, Phase, Watch, WatchSettings

SETTINGS = WatchSettings(
    silence=5.0, placing=60.0, starting=30.0, avoiding=15.0, again=5.0, again_most=20.0
)


class History:
    """A watch, and its clock."""

    def __init__(self):
        self.now = 100.0
        self.watch = Watch(SETTINGS, self.now)

    def answer(self, phase, worker="w1", node="n1"):
        self.watch.answered(worker, node, phase, self.now)
        return self.watch.act(self.now)

    def run(self):
        """Bring a worker to where its cameras run."""
        assert self.answer(None) is Act.START
        assert self.answer(Phase.STARTING) is Act.NOTHING
        assert self.answer(Phase.RUNNING) is Act.NOTHING

    def until_act(self, limit=200.0, step=0.25):
        """Let time pass without an answer until something is to be done; return what, and when."""
        began = self.now
        while self.now - began < limit:
            self.now += step
            if (act := self.watch.act(self.now)) is not Act.NOTHING:
                return act, self.now - began
        return Act.NOTHING, limit


@pytest.fixture
def history():
    return History()


def test_a_worker_is_told_to_start_once_it_is_there(history):
    assert history.watch.act(history.now) is Act.NOTHING
    assert history.watch.phase is Phase.WAITING
    history.run()
    assert history.watch.phase is Phase.RUNNING


def test_one_that_answers_is_left_alone_for_ever(history):
    history.run()
    for _ in range(1000):
        history.now += 4.9
        assert history.answer(Phase.RUNNING) is Act.NOTHING


def test_a_silent_one_is_replaced_elsewhere_after_the_configured_time(history):
    history.run()
    assert history.until_act() == (Act.REPLACE, 5.0)
    assert (history.watch.phase, history.watch.avoid) == (Phase.WAITING, "n1")


def test_the_replacement_is_told_to_start_and_its_node_is_no_longer_avoided(history):
    history.run()
    history.until_act()
    history.now += 2
    assert history.answer(None, "w2", "n2") is Act.START
    assert history.watch.avoid is None


def test_one_that_was_started_anew_by_itself_is_told_again(history):
    history.run()
    history.now += 1.5
    assert history.answer(None, "w2") is Act.START
    assert history.answer(Phase.RUNNING, "w2") is Act.NOTHING


def test_one_that_ended_and_comes_back_is_waited_for_however_slowly_it_begins(history):
    history.run()
    assert history.watch.ended(history.now)
    assert history.watch.phase is Phase.WAITING
    for _ in range(30):  # seconds, which is more than silence and avoiding together
        history.now += 1
        assert not history.watch.ended(history.now), "said again, it is no news"
        assert history.watch.act(history.now) is Act.NOTHING
    assert history.watch.avoid is None
    assert history.answer(None, "w2") is Act.START


def test_one_that_ended_and_does_not_come_back_is_asked_for_anew(history):
    history.run()
    history.watch.ended(history.now)
    assert history.until_act() == (Act.REPLACE, 60.0)


def test_one_that_ended_for_good_is_soon_followed_by_another_and_then_ever_more_rarely(history):
    for wait in (5.0, 10.0, 20.0, 20.0):
        history.watch.lost(history.now)
        began = history.now
        while history.watch.act(history.now) is Act.NOTHING:
            history.now += 0.25
            history.watch.lost(history.now)
        assert history.now - began == wait
    assert history.watch.avoid is None
    history.run()
    history.watch.lost(history.now)
    assert history.until_act() == (Act.REPLACE, 5.0)


def test_one_that_was_told_but_knows_nothing_of_it_is_told_again(history):
    assert history.answer(None) is Act.START
    history.now += 0.5
    assert history.answer(None) is Act.START


def test_one_that_opens_its_network_may_be_silent_for_longer(history):
    history.answer(None)
    history.answer(Phase.STARTING)
    assert history.until_act() == (Act.REPLACE, 30.0)


def test_without_room_elsewhere_the_old_node_will_do_after_a_while(history):
    history.run()
    history.until_act()
    assert history.until_act() == (Act.REPLACE, 15.0)
    assert history.watch.avoid is None


def test_one_that_never_answers_is_asked_for_anew_now_and_then(history):
    assert history.until_act() == (Act.REPLACE, 60.0)
    assert history.until_act() == (Act.REPLACE, 60.0)


def test_a_start_that_failed_is_tried_again_ever_more_rarely(history):
    waits = []
    history.answer(None)
    for _ in range(5):
        began = history.now
        act = history.answer(Phase.FAILED)
        while act is Act.NOTHING:
            history.now += 0.5
            act = history.answer(Phase.FAILED)
        assert act is Act.START
        waits.append(history.now - began)
        history.answer(Phase.STARTING)
    assert waits == [5.0, 10.0, 20.0, 20.0, 20.0]


def test_after_a_start_that_worked_it_begins_with_the_short_wait_again(history):
    history.answer(None)
    for phase in (Phase.FAILED, Phase.STARTING, Phase.FAILED, Phase.STARTING, Phase.RUNNING):
        history.answer(phase)
    history.answer(Phase.FAILED)
    history.now += 5.0
    assert history.answer(Phase.FAILED) is Act.START
