"""Interfaces: the typed contracts between components.

An interface fixes what a provider must tell (its properties), what a requirer may ask for (the request,
such as the name of a database), which names user code finds in its environment, and how a service that
somebody else runs is checked for being there.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=40)]
Template = str


class Property(BaseModel):
    """One property of an interface."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["string", "integer", "url", "host", "port"] = "string"
    help: str
    secret: bool = False
    default: Template | None = None
    required: bool = True


class RequestField(BaseModel):
    """One thing that a requirer may ask of the provider, such as a bucket."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    help: str
    default: Template = ""


class Check(BaseModel):
    """How a service that the user runs is checked for being reachable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tcp: Template | None = None
    http: Template | None = None


class Interface(BaseModel):
    """A contract between components, with fixed properties."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    summary: str
    source: str | None = Field(default=None, description="The protocol's own specification")
    request: dict[Name, RequestField] = {}
    properties: dict[Name, Property]
    env: dict[str, Template] = Field(default={}, description="Names that user code finds in its environment")
    check: Check | None = None
    default_provider: Name | None = Field(default=None, description="Joins the platform when none is there")
