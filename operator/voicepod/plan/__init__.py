"""``voicepod plan``: from the calls of a day to nodes, warm pods, and what a minute of call costs.

Calls come by chance, at a rate that each hour of the day has for itself, and a call may end at any
moment, whatever its age. From that follows how many calls are on at once (``load``). The operator's
own sizing of pools says how many pods wait for the next ones (``pool``). What both need is packed
onto nodes (``estimate``), beside a pool of workers that all calls share, turn by turn (``shared``).

Nothing here reads a clock, a file or a network. ``tests/support/simulated_day.py`` plays the same
day call by call, and what is planned is checked against it.
"""
