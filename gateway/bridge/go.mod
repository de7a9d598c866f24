module mcpgateway.dev/bridge

go 1.25
