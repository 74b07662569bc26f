"""LiveKit's shared worker: the default agent's code, the AgentServer as LiveKit ships it.

It runs in the agent's image, beside its agent.py. What differs from the agent in a voicepod pod
is what LiveKit's defaults for production say: a process for each job, as many idle ones as there
are CPUs, load measured by the CPU.
"""

from livekit.agents import AgentServer, cli

from agent import entrypoint, prewarm

server = AgentServer()
server.setup_fnc = prewarm
server.rtc_session(entrypoint)

if __name__ == "__main__":
    cli.run_app(server)
