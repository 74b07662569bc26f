"""What can be planned, and what is refused in a sentence."""

import pytest

from tests.unit.plan.days import inputs
from voicepod.plan.inputs import Calls, Node, PlanError, Shared, Size, amount, duration, hourly

pytestmark = pytest.mark.unit


def test_one_number_is_for_every_hour_and_twenty_four_are_for_one_each() -> None:
    assert hourly("2.5") == (2.5,) * 24
    assert hourly(",".join(map(str, range(24)))) == tuple(range(24))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1,2", "2 numbers: give one for the whole day, or 24, for each hour from midnight on"),
        ("many", "'many' is not a number of calls, such as 120"),
        ("", "'' is not a number of calls, such as 120"),
        ("-1", "-1 calls an hour: from 0 to 1,000,000 can be planned"),
        ("nan", "nan calls an hour: from 0 to 1,000,000 can be planned"),
        ("inf", "inf calls an hour: from 0 to 1,000,000 can be planned"),
    ],
)
def test_other_calls_an_hour_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(PlanError) as refused:
        hourly(text)
    assert str(refused.value) == sentence


def test_amounts_and_durations_are_read_as_kubernetes_writes_them() -> None:
    assert amount("250m") == 0.25
    assert amount("16Gi") == 16 * 2**30
    assert duration("1m30s") == 90


@pytest.mark.parametrize("text", ["", "much", "0", "-1", "1Xi", "nan", "Infinity"])
def test_other_amounts_are_refused(text: str) -> None:
    with pytest.raises(PlanError, match="is no amount such as 250m of CPU, or 512Mi of memory"):
        amount(text)


def test_other_durations_are_refused() -> None:
    with pytest.raises(PlanError, match="'90' is not a duration such as 30s"):
        duration("90")


def test_a_day_without_calls_and_calls_without_length_are_refused() -> None:
    with pytest.raises(PlanError, match="no calls come"):
        Calls((0.0,) * 24, 240.0, 12.0)
    with pytest.raises(PlanError, match="a call lasts longer than 0s"):
        Calls((1.0,) * 24, 0.0, 12.0)


def test_what_would_cost_nothing_or_take_no_time_is_refused() -> None:
    size = Size(4.0, 2**34)
    for price in (0.0, float("nan"), float("inf")):
        with pytest.raises(PlanError, match="price"):
            Node(size, 110, price, 60.0, 600.0)
    for turns, cpu in ((0.0, 1.0), (6.0, 0.0), (float("nan"), 1.0)):
        with pytest.raises(PlanError, match="turns"):
            Shared(None, 2**28, turns, cpu, 2**26, 0.02)
    with pytest.raises(PlanError, match="start"):
        inputs(pod_start=0.0)


def test_a_pod_brings_its_sidecar() -> None:
    whole = inputs(pod=Size(0.1, 160 * 2**20)).whole_pod

    assert whole.cpu == pytest.approx(0.11)
    assert whole.memory == 208 * 2**20


@pytest.mark.parametrize(
    ("size", "places"),
    [(Size(0.1, 1.0), 10), (Size(0.1, 300.0), 3), (Size(0.001, 1.0), 50), (Size(1.0, 1000.0), 1)],
    ids=["by CPU", "by memory", "by the kubelet's limit", "one fills it"],
)
def test_a_node_has_as_many_places_as_its_scarcest_resource(size: Size, places: int) -> None:
    node = Node(Size(1.0, 1000.0), 50, 0.2, 60.0, 600.0)

    assert node.places(size, "a pod") == places


def test_a_pod_that_fits_on_no_node_is_refused_with_what_both_have() -> None:
    node = Node(Size(2.0, 2**30), 110, 0.2, 60.0, 600.0)

    with pytest.raises(PlanError) as refused:
        node.places(Size(0.5, 2**31), "a pod")
    assert str(refused.value) == (
        "a pod does not fit on a node: it asks for 500m CPU and 2048Mi, "
        "and the node has 2000m CPU and 1024Mi"
    )
