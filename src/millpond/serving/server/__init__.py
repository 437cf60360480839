"""One process that serves one revision of one model, from an MLflow model folder.

`dataplane` knows the protocols' common part: models, tensors, metadata. `v1` and `v2` are thin
skins that read and write its words; `exchange` is what every request to predict goes through; `rest`
binds them to paths, `app` to HTTP. Runs in the science environment: it needs granian, orjson,
prometheus-client, numpy, pandas and mlflow.
"""
