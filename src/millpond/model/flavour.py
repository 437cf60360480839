"""Flavours: the file that names a platform, its components, their options and its target."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from millpond.model.cluster import Cluster, Policies
from millpond.model.component import Resources
from millpond.model.interface import Name


class FromElsewhere(BaseModel):
    """A value that the file does not hold: it stands in an environment variable or a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: str | None = Field(default=None, description="The environment variable's name")
    file: str | None = Field(default=None, description="The file's path")

    @model_validator(mode="after")
    def _one_source(self) -> FromElsewhere:
        if (self.env is None) == (self.file is None):
            raise ValueError("either env or file names where the value stands")
        return self


class Selection(BaseModel):
    """One component of a flavour: its options, and how it is wired."""

    model_config = ConfigDict(extra="allow", frozen=True)

    component: Name | None = Field(default=None, description="The catalogue's entry, when the name differs")
    uses: dict[Name, Name] = Field(default={}, description="Which provider meets a requirement")
    binaries: dict[str, str] = Field(
        default={}, description="The user's own programs in place of installed ones"
    )
    ports: dict[Name, Annotated[int, Field(ge=1, le=65535)]] = Field(default={}, description="Fixed ports")
    recipe: Literal["service", "chart"] | None = Field(
        default=None, description="How it is realised on Kubernetes, where the component has both recipes"
    )
    image: str | None = Field(
        default=None, description="On Kubernetes: an upstream's image in place of Millpond's, by digest"
    )
    resources: Resources | None = Field(
        default=None, description="What it needs, in place of what the component says"
    )
    values: dict[str, Any] | str = Field(
        default={}, description="Helm values over the chart recipe's own: a mapping, or a file's path"
    )

    @property
    def options(self) -> dict[str, Any]:
        """The component's own options, not yet checked against it."""
        return dict(self.model_extra or {})


class Project(BaseModel):
    """Who may use a project's bucket."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    read: list[Name] = Field(default=[], description="Groups that read it")
    write: list[Name] = Field(default=[], description="Groups that read, write and delete")


class Rules(BaseModel):
    """Who may do what in the lake."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    users: list[Name] = Field(default=[], description="Users, each with a bucket of that name")
    admins: list[Name] = Field(default=[], description="Users who may do everything")
    groups: dict[Name, list[Name]] = Field(default={}, description="Groups: who is in them, and nobody else")
    projects: dict[Name, Project] = Field(
        default={}, description="Buckets of projects: the groups that may use them, and no others"
    )

    @model_validator(mode="after")
    def _known(self) -> Rules:
        people = {*self.users, *self.admins}
        for group, members in self.groups.items():
            if strange := next((name for name in members if name not in people), None):
                raise ValueError(f"{strange} is in the group {group} and neither under users nor admins")
        for bucket, project in self.projects.items():
            strange = next(
                (name for name in (*project.read, *project.write) if name not in self.groups), None
            )
            if strange:
                raise ValueError(f"{strange} may use {bucket} and is not under groups")
        return self


class Data(BaseModel):
    """Files of the user's that the lake has from the start."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(
        alias="from", min_length=1, description="A file or a folder; from the flavour file's folder on"
    )
    to: str = Field(
        pattern=r"^[a-z0-9][a-z0-9.-]{2,62}(/[^/].*|/)?$",
        description="Where in the lake: bucket/path; a folder's contents go below it",
    )

    @field_validator("to")
    @classmethod
    def _no_climbing(cls, to: str) -> str:
        if {".", ".."} & set(to.split("/")):
            raise ValueError("a path of the lake has no . and no .. in it")
        return to


class Flavour(BaseModel):
    """A platform as its user wrote it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(default="millpond", description="The platform's name")
    summary: str = Field(default="", description="One line on what it is for")
    target: Literal["local", "kubernetes"] = Field(
        default="local", description="Where it runs: as processes on this machine, or on a cluster"
    )
    kubernetes: Cluster = Field(default=Cluster(), description="Which cluster, and how it is used there")
    policies: Policies = Field(default=Policies(), description="Which policies hold on Kubernetes")
    catalogue: list[str] = Field(default=[], description="Folders with components of one's own")
    components: dict[Name, Selection] = Field(
        default={}, description="What the platform is made of: names with options, or a plain list of names"
    )
    data: list[Data] = Field(
        default=[], description="What `up` loads into the lake, once for each content; changed objects stay"
    )
    lake: Rules = Field(default=Rules(), description="Users of the lake, their groups and their rights")
    external: dict[Name, dict[Name, str | int | FromElsewhere]] = Field(
        default={}, description="Interfaces that services of one's own provide: their properties"
    )

    @model_validator(mode="before")
    @classmethod
    def _bare_components(cls, data: Any) -> Any:
        """``mlflow:`` with nothing after it, and a plain list of names, mean the defaults."""
        if not isinstance(data, dict) or "components" not in data:
            return data
        components = {} if data["components"] is None else data["components"]
        if isinstance(components, list):
            if not all(isinstance(name, str) for name in components):
                raise ValueError("components is a list of names, or a mapping of names to options")
            if twice := next((name for name in components if components.count(name) > 1), None):
                raise ValueError(f"{twice} stands twice under components")
            components = {name: {} for name in components}
        if isinstance(components, dict):
            components = {name: {} if value is None else value for name, value in components.items()}
        return {**data, "components": components}
