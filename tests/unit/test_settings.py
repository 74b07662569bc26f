"""Settings that are wrong by themselves, or beside each other, are named."""

from typing import Any

import pytest
from pydantic import ValidationError

from voicepod.settings import GatewaySettings

pytestmark = pytest.mark.unit

OPERATOR = "http://operator"


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"token_auth": "open"}, "token_auth"),
        ({"token_auth": "hook"}, "token_auth=hook and token_hook_url belong together"),
        (
            {"token_auth": "anonymous", "token_hook_url": "http://auth"},
            "token_auth=hook and token_hook_url belong together",
        ),
        ({"token_auth": "hook", "token_hook_url": "auth"}, "token_hook_url"),
        ({"token_wait": "6s"}, "must be at most 5s"),
        ({"token_wait": "long"}, "token_wait"),
    ],
)
def test_a_setting_of_tokens_that_is_wrong_is_named(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        GatewaySettings(operator_url=OPERATOR, **values)


def test_nobody_may_have_a_token_unless_somebody_says_so() -> None:
    assert GatewaySettings(operator_url=OPERATOR).token_auth == ""
