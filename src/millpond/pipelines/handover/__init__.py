"""Handing a pipeline over to a workflow engine: Prefect, Airflow, Kubeflow Pipelines, Argo Workflows."""
