#!/bin/sh
# Records what the caller of the demo and of the tests says. The voice and its speed are the ones
# that the offline agent understands best; trailing silence is cut off, so that the end of a
# recording is the end of the speech.
set -eu
cd "$(dirname "$0")"

record() {
    espeak-ng -v en-us+f5 -s 145 -z -w "$1.wav" "$2"
}

record hours "What are your opening hours?"
record name "My name is Robert."
record recall "What is my name?"
record goodbye "Thank you, goodbye."
