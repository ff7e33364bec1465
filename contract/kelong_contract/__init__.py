"""What the operator, the trainer and the server agree on: names, resources, orders, manifests, the store's layout.

Every program imports this package and it imports none of them; it needs the standard library and the MinIO client.
"""
