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

    type: Literal["string", "integer", "url", "host", "port"] = Field(
        default="string", description="What kind of value it is"
    )
    help: str = Field(description="What it tells")
    secret: bool = Field(default=False, description="Never shown, and never written into a flavour file")
    default: Template | None = Field(
        default=None, description="Its value where a provider says nothing; may use the other properties"
    )
    required: bool = Field(default=True, description="A provider must tell it, unless it has a default")


class RequestField(BaseModel):
    """One thing that a requirer may ask of the provider, such as a bucket."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    help: str = Field(description="What is asked for")
    default: Template = Field(default="", description="What is asked for where the requirer says nothing")


class Check(BaseModel):
    """How a service that the user runs is checked for being reachable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tcp: Template | None = Field(default=None, description="host:port that must accept a connection")
    http: Template | None = Field(default=None, description="A URL that must answer, with any status")


class Interface(BaseModel):
    """A contract between components, with fixed properties."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(description="The interface's name; its file is called the same")
    summary: str = Field(description="One line on what it is")
    source: str | None = Field(default=None, description="The protocol's own specification")
    request: dict[Name, RequestField] = Field(default={}, description="What a requirer may ask for")
    properties: dict[Name, Property] = Field(description="What a provider tells")
    env: dict[str, Template] = Field(default={}, description="Names that user code finds in its environment")
    check: Check | None = Field(
        default=None, description="How a service that the user runs is checked for being there"
    )
    default_provider: Name | None = Field(default=None, description="Joins the platform when none is there")
