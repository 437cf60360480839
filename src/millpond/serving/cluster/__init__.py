"""Deployments on a cluster: the same documents, there where KServe is and where it is not.

Nothing of Millpond's runs beside the models. What the controller remembers on one machine is kept in a
ConfigMap per deployment, and each command that looks at a deployment moves it on.
"""
