"""Pipelines as documents for engines of a cluster: Argo Workflows, Kubeflow Pipelines."""
