"""Seeds that have found something, each with a word on what it was.

A seed tells the same story as long as everybody draws the same, and so these do not find their bug
for ever: each has its unit test, too.
"""

from typing import Final

FOUND: Final = {
    32: "a warm pod that never became ready kept its place for ever",
    47: "a session whose operator died between its pod and its sid never looked at its room",
    87: "a pod whose making was not answered was forgotten, and a warm one claimed beside it",
    88: "an agent that had left its room was not missed, as nobody had told of it",
    180: "a pod was deleted for an end that the API server had not been told of",
    274: "a caller was taken for the agent of a session whose deletion nobody had told of",
    390: "a new leader, whose watch was behind, forgot of an agent that was lost",
    827: "a pod that was denied to a call was taken for its own, as the lost one was there still",
    1094: "a budget outlived the last call on a cordoned node",
    1422: "an agent was missed for the one that it had replaced",
    1717: "a session that was gone was taken for one that says goodbye, its caller for the agent",
    2602: "a pod whose making was not answered outlived its session, and its place was given away",
    4412: "a new leader, whose watch was behind, put a session that had ended in line again",
}
