"""Runs peers_app.py in one of Flower's modes and prints one JSON line: medians over the rounds but the first.

    peers.py PLAN.json simulated    all in one process and Ray's workers, one for each core: Flower's fastest mode here
    peers.py PLAN.json deployed     SuperLink and SuperNodes, processes of their own over loopback, without TLS

`experiments peers` writes the plan and calls this in a virtual environment of its own. A run that fails says why and
prints no figures.
"""

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from processes import descendants

HERE = Path(__file__).resolve().parent


def simulated(plan: dict) -> None:
    """Both sides in one process, clients in Ray's workers."""
    from flwr.simulation import run_simulation
    from peers_app import client, server

    run_simulation(
        server,
        client,
        num_supernodes=plan["clients"],
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {"num_cpus": os.cpu_count(), "log_to_driver": False},
        },
    )


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def deployed(plan: dict, folder: Path) -> None:
    """A SuperLink, a SuperNode for each client, and the app submitted to them."""
    programs = Path(sys.executable).parent
    port, *ports = free_ports(plan["clients"] + 1)
    home = Path(os.environ["FLWR_HOME"])
    home.mkdir(exist_ok=True)
    address = f"127.0.0.1:{port}"
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "peers"\n\n[superlink.peers]\naddress = "{address}"\ninsecure = true\n'
    )
    log = open(folder / "deployed.log", "w", encoding="utf-8")
    children = []

    def launch(program: str, *arguments: str) -> None:
        children.append(subprocess.Popen([programs / program, *arguments], stdout=log, stderr=log))

    try:
        launch("flower-superlink", "--insecure", "--disable-runtime-dependency-installation", "--port", str(port))
        listens(children[0], port)
        for i, own in enumerate(ports):
            node = f"partition-id={i} num-partitions={plan['clients']}"
            launch("flower-supernode", "--insecure", "--superlink", address, "--port", str(own), "--node-config", node)
        subprocess.run([programs / "flwr", "run", HERE, "peers"], check=True, stdout=log, stderr=log)
        wait(plan, children)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        tail = "\n".join((folder / "deployed.log").read_text().splitlines()[-20:])
        raise RuntimeError(f"{error}\n{tail}") from error
    finally:
        # SuperNodes start processes of their own, which outlive them for a while.
        for process in descendants(os.getpid()):
            if process != os.getpid():
                with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
                    os.kill(process, signal.SIGKILL)


def listens(child: subprocess.Popen, port: int) -> None:
    """Until the child accepts connections; a minute at most."""
    deadline = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the SuperLink ended, or does not listen after a minute")


def wait(plan: dict, children: list) -> None:
    """Until all rounds are marked. Gives up when nothing was marked for three minutes."""
    marks = Path(plan["marks"])
    seen, deadline = 0, time.monotonic() + 180
    while seen < plan["rounds"]:
        now = len(marks.read_text().splitlines()) if marks.exists() else 0
        if now > seen:
            seen, deadline = now, time.monotonic() + 180
            print(f"round {seen} of {plan['rounds']}", file=sys.stderr)
        ended = [child.args[0] for child in children if child.poll() is not None]
        if ended or time.monotonic() > deadline:
            raise RuntimeError(f"after {seen} rounds: {ended or 'no progress for three minutes'}")
        time.sleep(0.2)


def main() -> None:
    """One run."""
    plan_path, mode = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = json.loads(Path(plan_path).read_text())
        plan |= {"root": os.getpid(), "marks": str(folder / "marks")}
        (folder / "plan.json").write_text(json.dumps(plan))
        os.environ |= {
            # Flower starts programs of its own by name.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PEERS_PLAN": str(folder / "plan.json"),
            "FLWR_HOME": str(folder / "home"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        if mode == "simulated":
            simulated(plan)
        else:
            deployed(plan, folder)
        marks = [json.loads(line) for line in Path(plan["marks"]).read_text().splitlines()]
    if len(marks) != plan["rounds"]:
        raise RuntimeError(f"{len(marks)} of {plan['rounds']} rounds were seen")
    rounds = list(zip(marks, marks[1:]))
    print(
        json.dumps(
            {
                "rounds": len(rounds),
                "seconds_per_round": statistics.median(b["at"] - a["at"] for a, b in rounds),
                "cpu_seconds_per_round": (marks[-1]["cpu"] - marks[0]["cpu"]) / len(rounds),
                "bytes_up_per_client": marks[0]["up"],
                "bytes_down_per_client": marks[0]["down"],
                "versions": {name: version(name) for name in ("flwr", "numpy", "ray")},
                "python": sys.version.split()[0],
            }
        )
    )


if __name__ == "__main__":
    main()
