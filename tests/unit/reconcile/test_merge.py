from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_kube import merged
from voicepod.reconcile.merge import merge_patch

pytestmark = pytest.mark.unit

# No null: a merge patch cannot write one. Few names, so that both sides share some.
values = st.recursive(
    st.text(max_size=3) | st.integers(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from("abc"), values)


@given(documents, documents)
def test_a_patch_makes_the_old_into_the_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert merged(old, merge_patch(old, new)) == new


@given(documents)
def test_nothing_is_written_where_nothing_has_changed(document: dict[str, Any]) -> None:
    assert merge_patch(document, document) == {}


def test_only_what_has_changed_is_written() -> None:
    old = {"phase": "Pending", "times": {"received": "12:00", "left": "12:01"}, "pod": "call-1"}
    new = {"phase": "Starting", "times": {"received": "12:00"}, "pod": "call-1"}

    assert merge_patch(old, new) == {"phase": "Starting", "times": {"left": None}}
