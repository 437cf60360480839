"""What the engine costs on a cluster: `up` of ten components beside kubectl, and a plan of forty.

    python benchmarks/kubernetes/up.py --image IMAGE [--kubeconfig FILE] [--context C] [--rounds 3]

The same objects (Deployment, Service, ConfigMap, ServiceAccount per component) are applied by the engine,
which waits until they are ready, and by `kubectl apply --server-side` with `kubectl wait`, by turns, each in
an empty namespace that is made by what is measured and deleted outside of it. The engine's time has its plan
in it, but not the start of Python; kubectl's has the start of two processes. The image must have `sh`, and is
best on the nodes already. The plan is of forty components that are there. Prints medians, and the load of the
machine, without which they mean little.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from millpond.targets.kubernetes.api import Cluster
from millpond.targets.kubernetes.bundle import COMPONENT, MANAGED_BY, PART_OF, Bundle, Object, Unit
from millpond.targets.kubernetes.engine import Engine
from millpond.targets.kubernetes.engine.removal import remove

PLATFORM = "millpond-benchmark"


def unit(name: str, image: str, replicas: int) -> Unit:
    """One component."""
    labels = {PART_OF: PLATFORM, MANAGED_BY: "millpond", COMPONENT: name}
    meta = {"name": name, "namespace": PLATFORM, "labels": labels}
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"],
        "resources": {"requests": {"cpu": "5m", "memory": "8Mi"}, "limits": {"memory": "64Mi"}},
        "volumeMounts": [{"name": "files", "mountPath": "/files"}],
    }
    pod = {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [{"name": "files", "configMap": {"name": name}}],
    }
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {COMPONENT: name}},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return Unit(
        name,
        (
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "1"}},
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": meta,
                "spec": {"selector": {COMPONENT: name}, "ports": [{"port": 80}]},
            },
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec},
        ),
    )


def bundle(number: int, image: str, replicas: int = 1) -> Bundle:
    """A platform of so many components."""
    namespace: Object = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": PLATFORM,
            "labels": {PART_OF: PLATFORM, MANAGED_BY: "millpond", COMPONENT: "platform"},
        },
    }
    units = {name: unit(name, image, replicas) for name in (f"c{number:02}" for number in range(number))}
    return Bundle(PLATFORM, PLATFORM, {"platform": Unit("platform", (namespace,)), **units})


def kubectl(arguments: list[str], *command: str) -> None:
    """Run kubectl."""
    subprocess.run(["kubectl", *arguments, *command], check=True, stdout=subprocess.DEVNULL)


def by_kubectl(arguments: list[str], wished: Bundle) -> float:
    """Seconds that kubectl takes to apply and wait."""
    with tempfile.TemporaryDirectory() as folder:
        for number, obj in enumerate(wished):
            (Path(folder) / f"{number:03}.json").write_text(json.dumps(obj))
        begun = time.monotonic()
        kubectl(arguments, "apply", "--server-side", "-R", "-f", folder)
        kubectl(
            arguments,
            *("wait", "--for=condition=Available", "deployment", "--all", "-n", PLATFORM, "--timeout=300s"),
        )
        return time.monotonic() - begun


async def by_engine(args: argparse.Namespace, wished: Bundle) -> float:
    """Seconds that the engine takes, connecting and planning included."""
    begun = time.monotonic()
    async with Cluster.connect(args.context, kubeconfig=args.kubeconfig) as cluster:
        await Engine(cluster, wished).apply(lambda _: None)
        return time.monotonic() - begun


async def plan(args: argparse.Namespace, wished: Bundle) -> float:
    """Seconds of a plan in which nothing is new."""
    begun = time.monotonic()
    async with Cluster.connect(args.context, kubeconfig=args.kubeconfig) as cluster:
        found = await Engine(cluster, wished).plan()
        seconds = time.monotonic() - begun
        assert found.empty, found.as_dict()
    return seconds


async def clear(args: argparse.Namespace) -> None:
    """Delete the namespace, and wait until it is gone."""
    async with Cluster.connect(args.context, kubeconfig=args.kubeconfig) as cluster:
        found = await cluster.get("v1", "Namespace", PLATFORM)
        if found:
            await remove(cluster, [found])


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--image", required=True)
    parser.add_argument("--kubeconfig", type=Path, default=None)
    parser.add_argument("--context", default="")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    arguments = [f"--kubeconfig={args.kubeconfig}"] if args.kubeconfig else []
    arguments += [f"--context={args.context}"] if args.context else []
    ten = bundle(10, args.image)
    ours, theirs = [], []
    for number in range(args.rounds):
        turns = [("millpond", ours), ("kubectl", theirs)]
        for name, times in turns if number % 2 == 0 else reversed(turns):
            asyncio.run(clear(args))
            seconds = asyncio.run(by_engine(args, ten)) if name == "millpond" else by_kubectl(arguments, ten)
            times.append(seconds)
            print(f"round {number + 1}: {name} {seconds:.2f} s")
    asyncio.run(clear(args))
    # Forty without pods: what a plan costs is the same.
    forty = bundle(40, args.image, replicas=0)
    asyncio.run(by_engine(args, forty))
    plans = [asyncio.run(plan(args, forty)) for _ in range(args.rounds)]
    asyncio.run(clear(args))
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"up of 10 components: millpond {mine:.2f} s, kubectl {other:.2f} s, {mine / other:.2f} times")
    print(f"plan of 40 components: {statistics.median(plans):.2f} s")
    print(f"load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
