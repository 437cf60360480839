"""Makes deployments real on this machine: documents in, model server processes and routes out.

`api` speaks the Kubernetes API's REST, `deployments` holds what is wanted against what runs,
`artifacts` brings models here (in a process of its own, `fetch`, because that one needs MLflow),
`processes` asks the platform's supervisor, `routes` the gateway, `store` remembers on disk.
"""
