"""What a flavour says about its cluster; none of it changes what the platform is made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Label = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Routes(_Part):
    """How requests come in from outside the cluster."""

    kind: Literal["gateway", "ingress", "none"] = Field(
        default="none",
        description="HTTPRoutes of the Gateway API, Ingresses, or nothing",
    )
    host: str = Field(default="", description="The domain under which each component is NAME.DOMAIN")
    gateway: str = Field(
        default="", description="The Gateway that HTTPRoutes attach to: NAME, or NAMESPACE/NAME"
    )
    section: str = Field(default="", description="The Gateway's listener, where not all of them")
    ingress_class: str = Field(default="", description="The IngressClass; the cluster's default when empty")
    tls_secret: str = Field(
        default="", description="A TLS Secret for Ingresses; their addresses are https then"
    )
    https: bool = Field(default=False, description="Whether the entrance in front speaks TLS")


class Gpu(_Part):
    """Where pods with GPUs go; these are the taint and the label of the Terraform modules' GPU pools."""

    resource: str = Field(default="nvidia.com/gpu", description="The device's resource name")
    node_selector: dict[str, str] = Field(default={"dedicated": "gpu"}, description="Labels of the GPU nodes")
    toleration: dict[str, str] = Field(default={"dedicated": "gpu"}, description="Taints of the GPU nodes")


class Cluster(_Part):
    """Which cluster a platform runs on, and how it is used there."""

    context: str = Field(default="", description="The kubeconfig's context; its current one when empty")
    namespace: Label | Literal[""] = Field(
        default="", description="The namespace; the platform's name when empty"
    )
    registry: str = Field(default="", description="Where images live, such as registry.example.org/team")
    pull_secrets: list[str] = Field(default=[], description="Secrets of the namespace that open the registry")
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        default="IfNotPresent", description="When nodes pull images"
    )
    storage_class: str = Field(
        default="", description="The StorageClass of volumes; the default one when empty"
    )
    routes: Routes = Field(default=Routes(), description="How requests come in from outside")
    gpu: Gpu = Field(default=Gpu(), description="Where pods with GPUs go")
    network_policies: bool = Field(default=True, description="Close the network but for the wiring's edges")


class Policies(_Part):
    """Which policies are checked before each apply and shipped to the cluster.

    Each is known by its name.
    """

    ship: list[Literal["admission", "gatekeeper"]] = Field(
        default=[],
        description="Install them: as ValidatingAdmissionPolicies, or as Gatekeeper's ConstraintTemplates",
    )
    skip: list[str] = Field(default=[], description="Policies that do not hold here, by name")
    registries: list[str] = Field(default=[], description="The only registries that images may come from")
    digests: bool = Field(default=False, description="Every image must be named by its digest")
    labels: list[str] = Field(default=[], description="Labels that every pod must have")
    hosts: list[str] = Field(default=[], description="The only domains that routes may name")
    allow: dict[str, list[str]] = Field(
        default={}, description="What policies let pass beyond their defaults, by the parameter's name"
    )
