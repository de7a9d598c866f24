"""The API server with the user's own kubeconfig and rights.

Not by the `kubernetes` package: its import costs 0.9 s of CPU, three times what a command may take to start (decision 0031).
"""
