"""Handing a pipeline over to a workflow engine: Prefect, Airflow."""
