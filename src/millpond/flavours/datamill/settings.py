"""The sections of a Data-Mill flavour as typed settings.

The keys are those that Data-Mill reads. What only a cluster needs is kept for the Kubernetes target; on one
machine it has no effect.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Location = Literal["local", "remote", "hybrid"]
LOCATIONS: tuple[Location, ...] = ("local", "remote", "hybrid")
CONVENTIONAL = ("release", "config_file", "version", "setup_timeout", "storage_class")


def _text(value: Any) -> Any:
    """Versions and sizes are text, also where YAML reads a number."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_text)]


class Section(BaseModel):
    """What all sections share: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Project(Section):
    """The section ``project``: what the platform is made of, and where its configuration lies."""

    k8s_namespace: str = Field(default="data-mill", description="The namespace, which names the platform")
    proxy_port: Annotated[int, Field(ge=1, le=65535)] = Field(
        default=8088, description="Where the cluster's dashboard answers"
    )
    flavour: str | list[str] | None = Field(default=None, description="Components by name, or `all`")
    k8s_default_config: str | None = Field(default=None, description="The target's file, when -t names none")
    component_default_config: str = Field(
        default="config.yaml", description="The file in a component's folder that holds its defaults"
    )
    data_folder: str | None = Field(default=None, description="Examples; each folder in it is a bucket")
    config_folder: str | None = Field(default=None, description="Where values files are looked up first")


class Local(Section):
    """A cluster on this machine."""

    cpus: Annotated[int, Field(ge=1)] | None = None
    memory: Text | None = Field(default=None, description="In MB, or with a unit")
    storage: Text | None = None
    gpu_support: bool = False
    use_overlay: bool = False
    provider: Literal["minikube", "microk8s"] | None = None
    vm_driver: str | None = None
    use_multipass: bool = False
    istio_support: bool = False


class Remote(Section):
    """A cluster that is made at a cloud provider."""

    provider: Literal["aws", "gke"] | None = None
    cluster_name: str | None = None
    bucket_name: str | None = None
    region: str | None = None
    zones: str | list[str] | None = None
    no_nodes: Annotated[int, Field(ge=1)] | None = None
    node_size: str | None = None
    gpu_support: bool = False


class Hybrid(Section):
    """A cluster that is there already, reached through a kubeconfig."""

    config: str | None = None
    gpu_support: bool = False


Target = Local | Remote | Hybrid
TARGETS: dict[Location, type[Target]] = {"local": Local, "remote": Remote, "hybrid": Hybrid}


class ComponentConfig(BaseModel):
    """One component's section: the conventional keys, and whatever else the component reads."""

    model_config = ConfigDict(extra="allow", frozen=True)

    release: str | None = Field(default=None, description="The name under which it is installed on a cluster")
    config_file: str | None = Field(default=None, description="Its values file")
    version: Text | None = Field(default=None, description="The version of its chart")
    setup_timeout: Annotated[int, Field(ge=0)] | None = Field(default=None, description="Seconds")
    storage_class: str | None = None
    recipe: Literal["service", "chart"] | None = Field(
        default=None, description="Millpond's: how it is realised on a cluster"
    )
    values: dict[str, Any] = Field(
        default={}, description="Millpond's: values of its chart, over those of its values file"
    )

    @property
    def specific(self) -> dict[str, Any]:
        """The keys that are this component's own."""
        return dict(self.model_extra or {})

    @property
    def conventional(self) -> dict[str, Any]:
        """The conventional keys that are given, which the Kubernetes target reads."""
        return {key: getattr(self, key) for key in CONVENTIONAL if getattr(self, key) is not None}
