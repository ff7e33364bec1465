"""What the operator, the trainer and the server agree on: names, resources, orders, manifests, the store's layout.

Every program imports this package and it imports none of them.
Beyond the standard library it needs the MinIO client and
the Prometheus client, both pure Python.
"""
