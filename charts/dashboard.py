"""What the Grafana dashboard shows; ``generate`` writes its JSON.

Every query names only metrics and labels that exist: tests/unit/chart/test_chart_monitoring.py.
"""

from typing import Any, Final

from charts.grafana import Panel, Query, Row, render

_QUANTILES: Final = (0.5, 0.9, 0.99)

# What the two variables of the dashboard select.
_CHOSEN: Final = 'agent_namespace=~"$agent_namespace",agent=~"$agent"'


def _rate(metric: str, chosen: str = _CHOSEN, by: str = "") -> str:
    rate = f"rate({metric}{{{chosen}}}[$__rate_interval])"
    return f"sum by ({by}) ({rate})" if by else f"sum({rate})"


def _sum(gauge: str, by: str = "agent") -> str:
    return f"sum by ({by}) ({gauge}{{{_CHOSEN}}})"


def _quantile(quantile: float, histogram: str, chosen: str = _CHOSEN, by: str = "") -> str:
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({quantile}, {_rate(f'{histogram}_bucket', chosen, labels)})"


def _quantiles(
    histogram: str, chosen: str = _CHOSEN, by: str = "", quantiles: tuple[float, ...] = _QUANTILES
) -> tuple[Query, ...]:
    """Return a query for each quantile; ``by`` labels are part of its name."""
    name = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(",") if label)
    return tuple(
        Query(_quantile(q, histogram, chosen, by), f"{name} p{q * 100:g}".strip())
        for q in quantiles
    )


def _start(title: str, until: str) -> Panel:
    return Panel(
        title,
        "From the VoiceSession's making. What LiveKit and the gateway take before comes on top.",
        _quantiles("voicepod_session_start_seconds", f'{_CHOSEN},until="{until}"', "way"),
        "s",
    )


def _step(title: str, step: str, help_: str) -> Panel:
    chosen = f'{_CHOSEN},step="{step}"'
    return Panel(title, help_, _quantiles("voicepod_session_step_seconds", chosen, "way"), "s")


ROWS: Final = (
    Row(
        "The way of a call",
        (
            _start("Until the agent is in the room", "joined"),
            _start("Until the agent's audio is there", "first_audio"),
        ),
        across=2,
    ),
    Row(
        "Step by step",
        (
            _step("1. Claimed", "claimed", "The session got its pod."),
            _step("2. Assigned", "assigned", "Cold: the pod came up. Then its agent took the job."),
            _step("3. Joined", "joined", "The agent connected to its room."),
            _step("4. First audio", "first_audio", "The agent published its audio track."),
        ),
        across=4,
    ),
    Row(
        "Pools",
        (
            Panel(
                "Pods that wait",
                "Warm, or on their way. What is wanted is between pool.min and pool.max. "
                "Placeholders hold room for more, where capacity.headroom is set.",
                (
                    Query(_sum("voicepod_pool_pods", "agent, state"), "{{agent}} {{state}}"),
                    Query(_sum("voicepod_pool_wanted_pods"), "{{agent}} wanted"),
                    Query(_sum("voicepod_pool_min_pods"), "{{agent}} min"),
                    Query(_sum("voicepod_pool_max_pods"), "{{agent}} max"),
                    Query(_sum("voicepod_headroom_pods"), "{{agent}} placeholders"),
                ),
            ),
            Panel(
                "Calls and claims",
                "Sessions that came, those that claimed a warm pod, those that started cold.",
                (
                    Query(_rate("voicepod_sessions_received_total"), "received"),
                    Query(
                        _rate(
                            "voicepod_session_step_seconds_count",
                            f'{_CHOSEN},step="claimed"',
                            "way",
                        ),
                        "{{way}}",
                    ),
                    Query(_rate("voicepod_pool_claims_lost_total"), "claims lost"),
                    Query(
                        f"{_sum('voicepod_pool_arrivals_per_minute')} / 60", "{{agent}} is sized by"
                    ),
                ),
                "ops",
            ),
            Panel(
                "Time to refill",
                "From the making of a warm pod until it is ready.",
                (
                    *_quantiles("voicepod_pool_refill_seconds", by="agent", quantiles=(0.5, 0.95)),
                    Query(_sum("voicepod_pool_refill_p95_seconds"), "{{agent}} is sized by"),
                ),
                "s",
            ),
            Panel(
                "Pods that do not come up",
                "What kept them from being ready.",
                (
                    Query(
                        _rate("voicepod_pool_problems_total", by="agent, reason"),
                        "{{agent}} {{reason}}",
                    ),
                ),
                "ops",
            ),
        ),
        across=4,
    ),
    Row(
        "Places",
        (
            Panel(
                "Places taken",
                "Sessions that have a pod, or get one; and capacity.maxSessions where it is set.",
                (
                    Query(
                        f"sum by (agent) (voicepod_sessions{{{_CHOSEN},"
                        'phase=~"Starting|Active|Reconnecting|Ending"})',
                        "{{agent}}",
                    ),
                    Query(_sum("voicepod_max_sessions"), "{{agent}} max"),
                ),
            ),
            Panel(
                "Time in line",
                "Until it was a session's turn (served), or it gave up.",
                _quantiles("voicepod_session_queued_seconds", by="outcome"),
                "s",
            ),
        ),
        across=2,
    ),
    Row(
        "Sessions",
        (
            Panel(
                "By phase",
                "Those that are not over.",
                (
                    Query(
                        f'sum by (phase) (voicepod_sessions{{{_CHOSEN},phase!~"Ended|Failed"}})',
                        "{{phase}}",
                    ),
                ),
                stacked=True,
            ),
            Panel(
                "Over, by reason",
                "docs/sessions.md says what each reason means.",
                (
                    Query(
                        _rate("voicepod_sessions_ended_total", by="phase, reason"),
                        "{{phase}} {{reason}}",
                    ),
                ),
                "ops",
                stacked=True,
            ),
            Panel(
                "What keeps them waiting",
                "Each time that something began to keep a session from going on.",
                (Query(_rate("voicepod_session_problems_total", by="reason"), "{{reason}}"),),
                "ops",
            ),
            Panel(
                "Agents lost",
                "In a call, or on the way to it; another pod took the call over, or it failed.",
                (
                    Query(
                        _rate("voicepod_agents_lost_total", by="agent, reason"),
                        "{{agent}} {{reason}}",
                    ),
                ),
                "ops",
            ),
            Panel(
                "Until another agent is there",
                "From the news that an agent is lost until the audio of the next one is there.",
                _quantiles("voicepod_takeover_seconds", by="reason"),
                "s",
            ),
            Panel(
                "VoiceAgents that cannot take calls",
                "And why.",
                (
                    Query(
                        f"voicepod_agent_ready{{{_CHOSEN}}} == 0",
                        "{{agent_namespace}}/{{agent}} {{reason}}",
                    ),
                ),
            ),
            Panel(
                "Calls on cordoned nodes",
                "Each keeps a node from being free.",
                (Query(_sum("voicepod_draining_calls"), "{{agent}}"),),
                stacked=True,
            ),
            Panel(
                "Until cordoned nodes are free",
                "At the latest, by the maxDuration of the calls there.",
                (
                    Query(
                        f"max by (agent) (voicepod_draining_end_timestamp_seconds{{{_CHOSEN}}})"
                        " - time()",
                        "{{agent}}",
                    ),
                ),
                "s",
            ),
            Panel(
                "Pods, by what for",
                "Pod-seconds a second, counted when a call is over, or an unclaimed pod gone.",
                (Query(_rate("voicepod_pod_seconds_total", by="use"), "{{use}}"),),
                stacked=True,
            ),
            Panel(
                "Pod-seconds that a second of talk takes",
                "All uses over talking: what a pod costs a second, times this, is what talk costs.",
                (
                    Query(
                        _rate("voicepod_pod_seconds_total", by="agent")
                        + " / "
                        + _rate("voicepod_pod_seconds_total", f'{_CHOSEN},use="talking"', "agent"),
                        "{{agent}}",
                    ),
                ),
            ),
            Panel(
                "Goodbye",
                "From the decision that a session is over until its pod is told to go.",
                _quantiles("voicepod_session_goodbye_seconds"),
                "s",
            ),
        ),
        across=4,
    ),
    Row(
        "Operator",
        (
            Panel(
                "Operators",
                "One leads; the others stand by.",
                (
                    Query("sum(voicepod_leader)", "leading"),
                    Query("count(voicepod_leader)", "there"),
                ),
            ),
            Panel(
                "Queue",
                "What waits at the moment of a scrape; above zero for minutes is too much.",
                (
                    Query("sum(voicepod_queue_depth)", "depth"),
                    Query("sum(voicepod_calls_unseen)", "calls that a new leader has yet to see"),
                    Query(
                        "sum(voicepod_sessions_untidied)", "sessions that are over, and to tidy up"
                    ),
                ),
            ),
            Panel(
                "Work on one object",
                "A look at it, and all that it leads to.",
                _quantiles("voicepod_reconcile_seconds", "", "kind", (0.5, 0.99)),
                "s",
            ),
            Panel(
                "Retries",
                "Objects that have to be looked at again because something failed.",
                (Query(_rate("voicepod_reconcile_retries_total", "", "kind"), "{{kind}}"),),
                "ops",
            ),
            Panel(
                "API writes per session",
                "Of operator and gateway, over a session's whole life, its pool's refill included.",
                (
                    Query(
                        _rate(
                            "voicepod_kube_request_seconds_count",
                            # The Lease of the operator that leads is renewed without any call.
                            'verb=~"create|patch|delete",resource!="leases"',
                            "verb, resource",
                        )
                        + " / ignoring (verb, resource) group_left "
                        + _rate("voicepod_sessions_received_total", ""),
                        "{{verb}} {{resource}}",
                    ),
                ),
                stacked=True,
            ),
            Panel(
                "Kubernetes API, p99",
                "Until the head of the answer is there.",
                _quantiles("voicepod_kube_request_seconds", "", "verb, resource", (0.99,)),
                "s",
            ),
            Panel(
                "Requests that failed",
                "To the Kubernetes API, LiveKit and pods; none: there was no answer.",
                (
                    Query(
                        _rate(
                            "voicepod_kube_request_seconds_count",
                            'code!~"2.."',
                            "verb, resource, code",
                        ),
                        "{{verb}} {{resource}} {{code}}",
                    ),
                    Query(
                        _rate(
                            "voicepod_livekit_request_seconds_count",
                            'code!~"2.."',
                            "method, code",
                        ),
                        "LiveKit {{method}} {{code}}",
                    ),
                    Query(
                        _rate("voicepod_pod_request_seconds_count", 'code!~"2.."', "act, code"),
                        "pod {{act}} {{code}}",
                    ),
                ),
                "ops",
            ),
            Panel(
                "LiveKit API, p99",
                "Until the head of the answer is there.",
                _quantiles("voicepod_livekit_request_seconds", "", "method", (0.99,)),
                "s",
            ),
            Panel(
                "Pods, p99",
                "assign is answered when the agent has taken the job.",
                _quantiles("voicepod_pod_request_seconds", "", "act", (0.99,)),
                "s",
            ),
            Panel(
                "Events dropped",
                "Kubernetes Events that were not posted because too many waited.",
                (Query(_rate("voicepod_events_dropped_total", ""), "dropped"),),
                "ops",
            ),
        ),
    ),
    Row(
        "Gateway",
        (
            Panel(
                "Webhooks",
                "By what became of them.",
                (Query(_rate("voicepod_gateway_webhooks_total", "", "outcome"), "{{outcome}}"),),
                "ops",
                stacked=True,
            ),
            Panel(
                "From webhook to session",
                "Until the VoiceSession was there.",
                _quantiles("voicepod_gateway_session_created_seconds", ""),
                "s",
            ),
            Panel(
                "Rooms that sweeps found",
                "Other than their sessions knew: their webhooks got lost.",
                (
                    Query(
                        _rate("voicepod_gateway_sweep_findings_total", "", "outcome"), "{{outcome}}"
                    ),
                ),
                "ops",
            ),
            Panel(
                "Token requests",
                "By what became of them.",
                (
                    Query(
                        _rate("voicepod_gateway_token_requests_total", "", "outcome"), "{{outcome}}"
                    ),
                ),
                "ops",
                stacked=True,
            ),
            Panel(
                "From token request to token",
                "Ready: the agent was in the room by then. Starting: gateway.tokens.wait was over.",
                _quantiles("voicepod_gateway_token_seconds", "", "outcome"),
                "s",
            ),
        ),
        across=5,
    ),
)


_VARIABLES: Final = {
    "agent_namespace": "label_values(voicepod_sessions, agent_namespace)",
    "agent": 'label_values(voicepod_sessions{agent_namespace=~"$agent_namespace"}, agent)',
}


def dashboard() -> dict[str, Any]:
    """Return the dashboard's JSON."""
    return render(ROWS, _VARIABLES)
