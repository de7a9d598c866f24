module mcpgateway.dev/pause

go 1.25
