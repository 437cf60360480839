"""Makes deployments real on this machine: documents in, model server processes and routes out.

`api` speaks the Kubernetes API's REST; `deployments` holds all of them and `deployment` one, what is wanted
against what runs; `revisions` says which revision a document means, `traffic` who gets which share,
`scaling` and `rollouts` decide, `autoscaler` and `pilot` carry that out; `graphs` keeps inference graphs.
`artifacts` brings models here (in a process of its own, `fetch`, because that one needs MLflow),
`processes` asks the platform's supervisor, `routes` the gateway, `observer` the monitor; `store` remembers
on disk.
"""
