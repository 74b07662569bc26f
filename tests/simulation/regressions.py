"""Seeds that have found something, each with a word on what it was.

A seed tells the same story as long as everybody draws the same: these find their bug in the code of
today when it is put in again. Whoever changes what is drawn looks for them anew; each bug has its
unit test, too.
"""

from typing import Final

FOUND: Final = {
    32: "a warm pod that never became ready kept its place for ever",
    47: "a session whose operator died between its pod and its sid never looked at its room",
    87: "a pod whose making was not answered was forgotten, and a warm one claimed beside it",
    88: "an agent that had left its room was not missed, as nobody had told of it",
    180: "a pod was deleted for an end that the API server had not been told of",
    1422: "an agent was missed for the one that it had replaced",
}
