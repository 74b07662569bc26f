"""The job as the agent sees it: made from the assignment, offered until the agent takes it."""

import asyncio
import time
from typing import Final

from voicepod.assignment.messages import (
    AGENT_NAME_ATTRIBUTE,
    Accepted,
    Assignment,
    Permissions,
)
from voicepod.sidecar.protocol import agent, models
from voicepod.sidecar.worker import Worker

# Seconds that a job is offered: an agent that has just started may say no because its load is
# over its threshold, which is an average over the last few seconds.
_TIMEOUT: Final = 8.0

# Seconds between two offers: the first, and the longest that doubling leads to.
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 1.0

_CHECKPOINT_ATTRIBUTE: Final = "voicepod.checkpoint"


class Declined(Exception):  # noqa: N818 - named by what the agent did
    """The agent does not take the job."""


def build_job(assignment: Assignment, worker: Worker) -> agent.Job:
    """Return the job of an assignment, of the type and under the name the agent registered with.

    A job of type JT_PUBLISHER has no participant here: a pod's one job is for the whole call.
    """
    now = time.time_ns()
    return agent.Job(
        id=assignment.job_id,
        type=worker.registration.type,
        room=models.Room(sid=assignment.room.sid, name=assignment.room.name),
        agent_name=worker.registration.agent_name,
        metadata=assignment.metadata,
        attributes=(
            {_CHECKPOINT_ATTRIBUTE: assignment.checkpoint} if assignment.checkpoint else None
        ),
        state=agent.JobState(
            status=agent.JobStatus.JS_RUNNING, started_at=now, updated_at=now, worker_id=worker.id
        ),
    )


async def offer(job: agent.Job, worker: Worker) -> Accepted:
    """Offer the job until the agent takes it. Raises Declined, or AgentGone."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            answer = await _offer_until_taken(job, worker)
    except TimeoutError:
        raise Declined(f"the agent did not take the job within {_TIMEOUT:g} seconds") from None
    return Accepted(
        identity=answer.participant_identity,
        name=answer.participant_name,
        metadata=answer.participant_metadata,
        attributes={
            # To LiveKit an empty one is as good as none, and SDKs send the name that they lack.
            **{name: value for name, value in answer.participant_attributes.items() if value},
            AGENT_NAME_ATTRIBUTE: worker.registration.agent_name,
        },
        permissions=_permissions(worker.registration),
    )


async def _offer_until_taken(job: agent.Job, worker: Worker) -> agent.AvailabilityResponse:
    pause = _FIRST_PAUSE
    while not (answer := await worker.offer(job)).available:
        if answer.terminate:
            raise Declined("the agent rejected the job for good")
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return answer


def _permissions(registration: agent.RegisterWorkerRequest) -> Permissions:
    if not registration.HasField("allowed_permissions"):
        return Permissions()
    allowed = registration.allowed_permissions
    return Permissions(
        can_publish=allowed.can_publish,
        can_subscribe=allowed.can_subscribe,
        can_publish_data=allowed.can_publish_data,
        can_update_metadata=allowed.can_update_metadata,
        hidden=allowed.hidden,
    )
