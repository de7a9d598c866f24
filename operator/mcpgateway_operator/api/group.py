"""The names of the API: group, version and kind. Source: Kubernetes API conventions."""

from __future__ import annotations

from typing import Final

GROUP: Final = "mcpgateway.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "MCPGateway"
PLURAL: Final = "mcpgateways"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CRD_NAME: Final = f"{PLURAL}.{GROUP}"
