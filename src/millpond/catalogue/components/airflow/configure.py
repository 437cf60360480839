"""Writes what Airflow takes from its configuration file: where DAG files come from.

A job of the component, as the list depends on whether a git repository is named.
"""

import json
import os
from pathlib import Path

bundles = [
    {
        "name": "millpond",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": os.environ["DAGS"], "refresh_interval": int(os.environ["REFRESH"])},
    }
]
if os.environ["GIT_SYNC"] == "true":
    bundles.append(
        {
            "name": "git",
            "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
            "kwargs": {
                "repo_url": os.environ["REPOSITORY"],
                "tracking_ref": os.environ["BRANCH"],
                "subdir": os.environ["SUBFOLDER"] or None,
                "refresh_interval": 60,
            },
        }
    )
Path(os.environ["DAGS"]).mkdir(parents=True, exist_ok=True)
# A percent sign begins an interpolation in this kind of file.
text = json.dumps(bundles).replace("%", "%%")
configuration = Path(os.environ["AIRFLOW_HOME"]) / "airflow.cfg"
configuration.write_text(f"[dag_processor]\ndag_bundle_config_list = {text}\n", encoding="utf-8")
