"""Settings that are wrong by themselves, or beside each other, are named."""

from typing import Any

import pytest
from pydantic import ValidationError

from voicepod.settings import GatewaySettings, OperatorSettings

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


def operator_settings(**values: Any) -> OperatorSettings:
    names = ("namespace", "pod_name", "pod_ip", "url", "sidecar_image")
    needed: dict[str, Any] = dict.fromkeys(names, "any")
    return OperatorSettings(**needed, **values)


def test_limits_of_namespaces_are_read_from_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEPOD_MAX_SESSIONS", '{"voice": 200}')

    assert operator_settings().max_sessions == {"voice": 200}
    assert operator_settings(namespaces=["voice"]).max_sessions == {"voice": 200}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"max_sessions": {"voice": 0}}, "max_sessions.voice"),
        (
            {"max_sessions": {"voice": 1}, "namespaces": ["sales"]},
            "max_sessions: voice is not one of namespaces",
        ),
    ],
)
def test_a_limit_that_is_wrong_is_named(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        operator_settings(**values)
