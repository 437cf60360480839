"""Root is never taken behind the user's back: the commands are told instead."""

from __future__ import annotations

import pytest

from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.clusters.k3s import K3s
from millpond.targets.kubernetes.clusters.machine import Machine


def test_what_needs_root_is_told_as_commands_before_anything_runs() -> None:
    steps = K3s().stop("k3s", Machine())
    with pytest.raises(MillpondError) as caught:
        Machine(root=False).allow(steps, "stopping k3s", "`millpond cluster status`")
    assert caught.value.details == ("sudo systemctl stop k3s", "sudo k3s-killall.sh")
    Machine(root=True).allow(steps, "stopping k3s", "")


def test_how_a_tool_is_installed_depends_on_the_system() -> None:
    machine = Machine(system="darwin", environ={"PATH": "/nowhere"})
    with pytest.raises(MillpondError) as caught:
        machine.need(K3s.tool, "the provider k3s")
    assert "on macOS take the provider kind or minikube" in (caught.value.hint or "")
