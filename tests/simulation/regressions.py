"""Seeds that have found something, each with a word on what it was.

A seed tells the same story as long as everybody draws the same; so each bug has its unit test, too.
"""

from typing import Final

FOUND: Final = {
    9: "a session without a sid whose operator died after the claim never looked at its room",
    21: "a pod whose making was not answered was forgotten, and a warm one claimed beside it",
    14: "a warm pod that never became ready kept its place for ever",
    27: "a pod was deleted for an end that the API server had not been told of",
    52: "a room that its agent wanted closed stayed open when the operator died over it",
}
